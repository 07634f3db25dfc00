"""The dashboards. Every metric of ``streams/metrics.py`` stands in one of them; a test sees to it."""

from __future__ import annotations

from afresh.deploy.monitoring.panels import Dashboard, Panel, Query, or_zero, quantile, rate

SECONDS, PER_SECOND, SHARE, COUNT, BYTES = "s", "ops", "percentunit", "short", "bytes"

MAKES_LISTS = '{job!~".*(embed|model|suggest).*"}'
"""Leaves out processes that make no lists: what they show of them would be a line at 0."""

OVERVIEW = Dashboard(
    "afresh-overview",
    "afresh: overview",
    (
        Panel(
            "Ready",
            COUNT,
            (Query("min by (job, instance) (afresh_ready)", "{{job}} {{instance}}"),),
            "1 while a process could do its work. At 0, its page /ready says why.",
        ),
        Panel(
            "Events in",
            PER_SECOND,
            (Query(rate("afresh_events_total", "outcome"), "{{outcome}}"),),
            "Refused ones stand in the topic of dead letters, with the reason.",
        ),
        Panel(
            "Lists out",
            PER_SECOND,
            (Query(rate("afresh_lists_total", "outcome"), "{{outcome}}"),),
            "A list is withheld where Redis has a newer one.",
        ),
        Panel(
            "Event to Redis",
            SECONDS,
            (
                Query(quantile(0.5, "afresh_event_to_redis_seconds"), "p50"),
                Query(quantile(0.99, "afresh_event_to_redis_seconds"), "p99"),
            ),
            "From Kafka's taking an event to the list in Redis.",
        ),
        Panel(
            "Hit rate",
            SHARE,
            (
                Query(or_zero('max(afresh_hit_rate_10{slice="all",ranking="served"})'), "lists"),
                Query(or_zero('max(afresh_hit_rate_10{slice="all",ranking="popularity"})'), "popularity"),
            ),
            "Share of the items taken that were among the first ten. Lists must be above popularity.",
        ),
        Panel(
            "Oldest record",
            SECONDS,
            (Query("max by (topic) (afresh_lag_seconds)", "{{topic}}"),),
            "How long the oldest record has waited that is not done. 0 at rest.",
        ),
        Panel(
            "Dead letters and losses",
            PER_SECOND,
            (
                Query(rate("afresh_dead_letters_total", "reason"), "{{reason}}"),
                Query(rate("afresh_records_lost_total", "topic"), "lost: {{topic}}"),
            ),
            "Records that could not be used, and records that were removed before they were read.",
        ),
        Panel(
            "Versions",
            COUNT,
            (Query("count by (version, python, faust) (afresh_build_info)", "afresh {{version}}"),),
            "Processes by version: two while a rollout is under way.",
        ),
    ),
)

PIPELINE = Dashboard(
    "afresh-pipeline",
    "afresh: pipeline",
    (
        Panel(
            "Records by stage",
            PER_SECOND,
            (Query(rate("afresh_stage_records_total", "stage"), "{{stage}}"),),
            "All stages take in as many, apart from what they leave out.",
        ),
        Panel(
            "Time of a run, p99",
            SECONDS,
            (Query(quantile(0.99, "afresh_stage_seconds", "stage"), "{{stage}}"),),
            "A run is what a stage takes in at once; it is as long as the backlog.",
        ),
        Panel(
            "Unfinished records",
            COUNT,
            (Query("sum by (topic) (afresh_lag_records)", "{{topic}}"),),
            "What waits, by topic.",
        ),
        Panel(
            "Users who wait",
            COUNT,
            (Query("sum(afresh_users_waiting)", "users"),),
            "For a new list. Some at every moment; thousands where lists cannot keep up.",
        ),
        Panel(
            "Longest wait for a list",
            SECONDS,
            (
                Query(
                    f"max by (job, instance) (afresh_longest_wait_seconds{MAKES_LISTS})",
                    "{{job}} {{instance}}",
                ),
            ),
            "By so much lists lag. All users wait about as long: they are served in turn.",
        ),
        Panel(
            "Age of commits",
            SECONDS,
            (
                Query(
                    or_zero("max by (topic, partition) (afresh_commit_age_seconds)", "topic, partition"),
                    "{{topic}}-{{partition}}",
                ),
            ),
            "While runs wait to be committed. A partition that stands still is seen here first.",
        ),
        Panel(
            "Known already",
            PER_SECOND,
            (
                Query(rate("afresh_already_counted_total", "stage"), "skipped: {{stage}}"),
                Query(rate("afresh_runs_repeated_total", "stage"), "runs again: {{stage}}"),
                Query(rate("afresh_runs_dropped_total", "stage"), "runs dropped: {{stage}}"),
            ),
            "After a crash or a rebalance, records come again and are not counted again.",
        ),
        Panel(
            "Left out",
            PER_SECOND,
            (
                Query(rate("afresh_fields_dropped_total", "field"), "field {{field}}"),
                Query(rate("afresh_not_learned_total"), "not learned from"),
            ),
            "Misshapen optional fields, and what one user took too much of within an hour.",
        ),
        Panel(
            "Events by platform",
            PER_SECOND,
            (Query(rate("afresh_events_total", "platform"), "{{platform}}"),),
            "A platform that is silent stands out.",
        ),
        Panel(
            "Clocks of platforms",
            SECONDS,
            (
                Query("max by (platform) (afresh_platform_clock_offset_seconds)", "{{platform}}"),
                Query("min by (platform) (afresh_platform_clock_offset_seconds)", "{{platform}}, least"),
            ),
            "What is added to the times of a platform's events, because its clock or time zone is wrong. 0 is right.",
        ),
        Panel(
            "Links between accounts",
            COUNT,
            (Query("max by (kind) (afresh_links)", "{{kind}}"),),
            "Those that stand, by how they are known, as the one worker says that takes them in.",
        ),
        Panel(
            "People",
            COUNT,
            (
                Query("max(afresh_people)", "with several accounts"),
                Query("max(afresh_largest_person_accounts)", "accounts of the largest"),
                Query("max by (reason) (afresh_accounts_apart)", "apart: {{reason}}"),
            ),
            "Accounts apart: their links do not count, because they or the people that they join have too many.",
        ),
        Panel(
            "Links suggested",
            COUNT,
            (Query("max(afresh_suggested_links)", "suggested"),),
            "What the last run of `afresh suggest --every` suggests. Nobody is one person by it.",
        ),
        Panel(
            "Runs of suggest",
            SECONDS,
            (
                Query("max(afresh_suggest_age_seconds)", "since the last"),
                Query("max(afresh_suggest_seconds)", "took"),
            ),
            "If the age outgrows what `--every` says, its log and its page /ready say why.",
        ),
        Panel(
            "People who move",
            PER_SECOND,
            (
                Query(rate("afresh_moves_sent_total", "move"), "asked for: {{move}}"),
                Query(rate("afresh_moves_obeyed_total", "move"), "obeyed: {{move}}"),
                Query(rate("afresh_sent_on_total", "what"), "sent on: {{what}}"),
            ),
            "What links move between users' rows. Events of linked accounts are sent on to the row of their person.",
        ),
    ),
)

MODELS = Dashboard(
    "afresh-models",
    "afresh: models",
    (
        Panel(
            "Hit rate by slice",
            SHARE,
            (Query(or_zero('max by (slice) (afresh_hit_rate_10{ranking="served"})', "slice"), "{{slice}}"),),
            "Users and items by how much is known of them; user:0 and item:0 are new.",
        ),
        Panel(
            "Hit rate by scorer",
            SHARE,
            (Query(or_zero('max by (ranking) (afresh_hit_rate_10{slice="all"})', "ranking"), "{{ranking}}"),),
            "Each scorer alone, beside the lists and popularity.",
        ),
        Panel(
            "NDCG by slice",
            SHARE,
            (Query(or_zero('max by (slice) (afresh_ndcg_10{ranking="served"})', "slice"), "{{slice}}"),),
            "As the hit rate, but the place counts.",
        ),
        Panel(
            "Weights",
            COUNT,
            (Query("max by (scorer) (afresh_fusion_weight)", "{{scorer}}"),),
            "Weights of the scorers in the lists made now.",
            below_zero=True,
        ),
        Panel(
            "Version of the weights",
            COUNT,
            (Query(f"max by (job, instance) (afresh_weights_version{MAKES_LISTS})", "{{job}} {{instance}}"),),
            "The same on all workers, once they have followed.",
        ),
        Panel(
            "Waiting to be learned from",
            SECONDS,
            (Query(or_zero("max(afresh_weights_age_seconds)"), "oldest example"),),
            "Above 60 s, nobody owns the partition of the weights, or its owner is behind.",
        ),
        Panel(
            "Drifts and rollbacks",
            COUNT,
            (
                Query(
                    or_zero("sum by (slice) (increase(afresh_drift_total[1h])) > 0", "slice"),
                    "drift: {{slice}}",
                ),
                Query(
                    or_zero("sum by (cause) (increase(afresh_rollbacks_total[1h])) > 0", "cause"),
                    "rollback: {{cause}}",
                ),
            ),
            "Within an hour. The guard takes the weights back when lists become worse than a snapshot's.",
        ),
        Panel(
            "Garbage",
            COUNT,
            (
                Query(
                    or_zero("sum by (scorer) (increase(afresh_broken_scores_total[1h]))", "scorer"),
                    "{{scorer}}",
                ),
                Query(or_zero("max(afresh_refused_examples)"), "examples refused"),
            ),
            "Scores that are none, and examples that were not learned from because of them.",
        ),
        Panel(
            "Examples",
            COUNT,
            (
                Query(or_zero("max by (slice) (afresh_judged_examples)", "slice"), "{{slice}}"),
                Query(or_zero("max(afresh_unjudged_examples)"), "without a list"),
            ),
            "What the rates rest on.",
        ),
        Panel(
            "Age of the model",
            SECONDS,
            (
                Query(
                    f"max by (job, instance) (afresh_model_age_seconds{MAKES_LISTS})", "{{job}} {{instance}}"
                ),
            ),
            "Since the version was begun that lists are made with. It grows while nothing changes.",
        ),
    ),
)

EMBEDDINGS = Dashboard(
    "afresh-embeddings",
    "afresh: embeddings",
    (
        Panel(
            "Texts that wait",
            COUNT,
            (Query(or_zero("sum(afresh_embedding_queue)"), "texts"),),
            "New and changed texts, and those that a new encoder has not read.",
        ),
        Panel(
            "Time of a batch",
            SECONDS,
            (
                Query(quantile(0.5, "afresh_embedding_seconds"), "p50"),
                Query(quantile(0.99, "afresh_embedding_seconds"), "p99"),
            ),
            "One batch of texts on the embed worker, those of questions included.",
        ),
        Panel(
            "Question to answer",
            SECONDS,
            (
                Query(quantile(0.5, "afresh_question_seconds"), "p50"),
                Query(quantile(0.99, "afresh_question_seconds"), "p99"),
            ),
            "From when Kafka took a question until it took the answer. Texts that wait do not delay it.",
        ),
        Panel(
            "Questions",
            PER_SECOND,
            (Query(rate("afresh_questions_total", "outcome"), "{{outcome}}"),),
            "Those that are too old were asked while no embed worker ran.",
        ),
        Panel(
            "Items with an embedding",
            COUNT,
            (
                Query("max(afresh_catalogue_items)", "items"),
                Query("max(afresh_catalogue_embedded_items)", "with an embedding"),
            ),
            "Items without one are recommended by behaviour alone.",
        ),
        Panel(
            "Items by encoder",
            COUNT,
            (Query("max by (encoder, version) (afresh_encoder_items)", "{{encoder}} {{version}}"),),
            "While another encoder reads the catalogue, its line rises to that of the one before.",
        ),
        Panel(
            "Texts without a vector",
            COUNT,
            (Query(or_zero("sum(increase(afresh_embeddings_refused_total[1h]))"), "texts"),),
            "Within an hour. The encoder gave no finite vector, or the text alone did not fit into memory.",
        ),
    ),
)

CAPACITY = Dashboard(
    "afresh-capacity",
    "afresh: capacity",
    (
        Panel(
            "Rows",
            COUNT,
            (Query("sum by (table) (afresh_rows)", "{{table}}"),),
            "What workers keep, copies for others included.",
        ),
        Panel(
            "Memory",
            BYTES,
            (
                Query(
                    'max by (job, instance) (process_resident_memory_bytes{job=~"afresh.*"})',
                    "{{job}} {{instance}}",
                ),
                Query(
                    f"max by (job, instance) (afresh_served_lists_bytes{MAKES_LISTS})",
                    "{{job}} {{instance}}: lists to judge",
                ),
            ),
            "Of each process, and the part that remembers lists to judge them.",
        ),
        Panel(
            "CPU",
            SHARE,
            (
                Query(
                    'max by (job, instance) (rate(process_cpu_seconds_total{job=~"afresh.*"}[$__rate_interval]))',
                    "{{job}} {{instance}}",
                ),
            ),
            "At 1, a worker is busy: add one, if there are partitions for it.",
        ),
        Panel(
            "Free on the disk",
            SHARE,
            (
                Query(
                    "min by (job, instance) (afresh_disk_free_bytes / afresh_disk_size_bytes)",
                    "{{job}} {{instance}}",
                ),
            ),
            "Where the data folder is. The disks of Kafka and Redis are theirs to show.",
        ),
        Panel(
            "Lists to judge",
            COUNT,
            (Query(f"max by (job, instance) (afresh_served_lists{MAKES_LISTS})", "{{job}} {{instance}}"),),
            "Examples of users whose list is forgotten are not judged.",
        ),
        Panel(
            "Recovery",
            SECONDS,
            (
                Query(
                    "max by (job, instance, part) (afresh_recovery_seconds)", "{{job}} {{instance}}: {{part}}"
                ),
            ),
            "The last one, from the assignment until a worker goes on.",
        ),
        Panel(
            "Records recovered",
            PER_SECOND,
            (Query(rate("afresh_recovered_records_total", "table"), "{{table}}"),),
            "While tables are read from their changelogs.",
        ),
        Panel(
            "Rebalances",
            COUNT,
            (
                Query(
                    or_zero(
                        "sum by (job, instance) (increase(afresh_rebalances_total[1h]))", "job, instance"
                    ),
                    "{{job}} {{instance}}",
                ),
            ),
            "Within an hour.",
        ),
    ),
)

SERVERS = Dashboard(
    "afresh-servers",
    "afresh: Kafka and Redis",
    (
        Panel(
            "Last write that Kafka took",
            SECONDS,
            (Query("max by (job, instance) (afresh_kafka_write_age_seconds)", "{{job}} {{instance}}"),),
            "Above 10 s a process is not ready.",
        ),
        Panel(
            "Batches sent again",
            PER_SECOND,
            (Query(rate("afresh_send_retries_total", "topic"), "{{topic}}"),),
            "What Kafka did not take at the first try.",
        ),
        Panel(
            "Throttled by Kafka",
            SECONDS,
            (Query(rate("afresh_kafka_throttled_seconds_total", "request"), "{{request}}"),),
            "Seconds a second, of all connections, because of a quota.",
        ),
        Panel(
            "Cleanup policies",
            COUNT,
            (Query(or_zero("max by (topic) (afresh_topic_policy_wrong) > 0", "topic"), "{{topic}}"),),
            "1 where a topic has another one than it must have.",
        ),
        Panel(
            "Refused by Redis",
            PER_SECOND,
            (Query(rate("afresh_redis_retries_total", "job, instance"), "{{job}} {{instance}}"),),
            "Writes that Redis did not take at the first try.",
        ),
        Panel(
            "Lists looked at in Redis",
            PER_SECOND,
            (Query(rate("afresh_inspected_lists_total", "found"), "{{found}}"),),
            "Missing and stale ones were lost by Redis, and are made again.",
        ),
        Panel(
            "Redis lost everything",
            COUNT,
            (Query(or_zero("sum(increase(afresh_redis_losses_total[1h]))"), "times"),),
            "Within an hour.",
        ),
    ),
)

DASHBOARDS = (OVERVIEW, PIPELINE, MODELS, EMBEDDINGS, CAPACITY, SERVERS)
