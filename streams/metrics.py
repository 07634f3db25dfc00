"""Every metric of every process, for Prometheus: in base units, and never labelled by user or item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from prometheus_client import Counter, Gauge, Histogram, Info

from afresh.state.people import Kind

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Histogram buckets, from 1 ms to 10 s."""

LABEL_VALUES = 100
"""Number of platforms with their own label: producers choose the names, so their number is not limited otherwise."""

OTHER = "other"

READY = Gauge("afresh_ready", "Whether the process could do its work, as its page /ready says.")
DISK_FREE = Gauge("afresh_disk_free_bytes", "Free space on the disk of the data folder.")
DISK_SIZE = Gauge("afresh_disk_size_bytes", "Size of the disk of the data folder.")
EVENTS = Counter("afresh_events", "Events read, by outcome.", ["type", "platform", "outcome"])
CLOCK_OFFSET = Gauge(
    "afresh_platform_clock_offset_seconds",
    "What is added to the times of a platform's events, because its clock is steadily wrong.",
    ["platform"],
)
DEAD_LETTERS = Counter("afresh_dead_letters", "Records that could not be used, by reason.", ["reason"])
FIELDS_DROPPED = Counter(
    "afresh_fields_dropped", "Misshapen optional fields that were left out of events and items.", ["field"]
)
STAGE_SECONDS = Histogram(
    "afresh_stage_seconds", "Time that a stage needs for one run.", ["stage"], buckets=SECONDS
)
STAGE_RECORDS = Counter("afresh_stage_records", "Records taken in by a stage.", ["stage"])
SKIPPED = Counter(
    "afresh_already_counted", "Records delivered again, and skipped because they were counted.", ["stage"]
)
NOT_LEARNED = Counter(
    "afresh_not_learned",
    "Items taken that are not learned from, because their users took too many within an hour.",
)
LINKS = Gauge("afresh_links", "Links between accounts that stand, by how they are known.", ["kind"])
for _kind in get_args(Kind):
    LINKS.labels(_kind)
PEOPLE = Gauge("afresh_people", "People who have more than one account.")
LARGEST_PERSON = Gauge("afresh_largest_person_accounts", "Accounts of the person who has most of them.")
ACCOUNTS_APART = Gauge(
    "afresh_accounts_apart",
    "Accounts whose links do not count: hubs, and those of whom links join too many.",
    ["reason"],
)
for _reason in ("hub", "too_many"):
    ACCOUNTS_APART.labels(_reason)
SUGGESTED_LINKS = Gauge("afresh_suggested_links", "Links that the last run of `afresh suggest` suggests.")
SUGGEST_SECONDS = Gauge("afresh_suggest_seconds", "Time that the last run of `afresh suggest` took.")
SUGGEST_AGE = Gauge("afresh_suggest_age_seconds", "Time since a run of `afresh suggest` went well.")
MOVES_SENT = Counter(
    "afresh_moves_sent",
    "Moves of accounts from one user's row to another's that links have asked for.",
    ["move"],
)
MOVES_OBEYED = Counter(
    "afresh_moves_obeyed", "Moves of accounts from one user's row to another's that were obeyed.", ["move"]
)
SENT_ON = Counter(
    "afresh_sent_on", "Events and rows of linked accounts that were sent on to another partition.", ["what"]
)
RUNS_DROPPED = Counter(
    "afresh_runs_dropped", "Runs dropped because their partition had moved away.", ["stage"]
)
RUNS_REPEATED = Counter(
    "afresh_runs_repeated",
    "Runs that came again after a crash or a rebalance, with records already counted.",
    ["stage"],
)
COMMIT_AGE = Gauge(
    "afresh_commit_age_seconds",
    "Time since the last commit of a partition that has uncommitted runs.",
    ["topic", "partition"],
)
THROTTLED_SECONDS = Counter(
    "afresh_kafka_throttled_seconds",
    "Time that Kafka has made this process wait because of a quota, by kind of request.",
    ["request"],
)
SEND_RETRIES = Counter("afresh_send_retries", "Batches that Kafka did not take at the first try.", ["topic"])
KAFKA_WRITE_AGE = Gauge(
    "afresh_kafka_write_age_seconds",
    "Time since Kafka last acknowledged a commit, or since the oldest write that waits for it began.",
)
EVENT_TO_REDIS = Histogram(
    "afresh_event_to_redis_seconds",
    "Time from when Kafka takes an event until the list is in Redis.",
    buckets=SECONDS,
)
LAG_RECORDS = Gauge("afresh_lag_records", "Unfinished records in the partitions of this process.", ["topic"])
LAG_SECONDS = Gauge("afresh_lag_seconds", "Age of the oldest unfinished record.", ["topic"])
ROWS = Gauge("afresh_rows", "Rows held by this worker.", ["table"])
LISTS = Counter("afresh_lists", "Lists made, by what Redis did with them.", ["outcome"])
USERS_WAITING = Gauge("afresh_users_waiting", "Users who wait for a new list.")
LONGEST_WAIT = Gauge(
    "afresh_longest_wait_seconds", "How long the user has waited for a new list who has waited longest."
)
INSPECTED_LISTS = Counter(
    "afresh_inspected_lists", "Lists that the inspection looked at in Redis, by what it found.", ["found"]
)
REDIS_RETRIES = Counter("afresh_redis_retries", "Writes that Redis did not take at the first try.")
REDIS_LOSSES = Counter("afresh_redis_losses", "Times that Redis had lost the lists.")
CATALOGUE_ITEMS = Gauge("afresh_catalogue_items", "Items in the catalogue.")
CATALOGUE_EMBEDDED = Gauge(
    "afresh_catalogue_embedded_items", "Items in the catalogue that have an embedding."
)
ENCODER_ITEMS = Gauge(
    "afresh_encoder_items", "Items of which there is a vector, by the encoder.", ["encoder", "version"]
)
MODEL_AGE = Gauge(
    "afresh_model_age_seconds", "Time since the version of the model was begun that lists are made with."
)
EMBEDDING_QUEUE = Gauge("afresh_embedding_queue", "Texts waiting to be encoded.")
EMBEDDING_SECONDS = Histogram(
    "afresh_embedding_seconds", "Time to encode one batch of texts.", buckets=SECONDS
)
EMBEDDINGS_REFUSED = Counter(
    "afresh_embeddings_refused", "Texts that the encoder gave no finite vector of; their items are without."
)
QUESTIONS = Counter(
    "afresh_questions", "Questions read: answered, refused, too old, or without a key.", ["outcome"]
)
QUESTION_SECONDS = Histogram(
    "afresh_question_seconds",
    "Time from when Kafka took a question until it took the answer.",
    buckets=SECONDS,
)
HIT_RATE = Gauge(
    "afresh_hit_rate_10",
    "Share of recently taken items that were among the first ten, by slice and ranking.",
    ["slice", "ranking"],
)
NDCG = Gauge("afresh_ndcg_10", "NDCG of the first ten over recently taken items.", ["slice", "ranking"])
JUDGED = Gauge(
    "afresh_judged_examples", "Examples judged so far; their users had a list or were new.", ["slice"]
)
UNJUDGED = Gauge("afresh_unjudged_examples", "Examples so far without a served list to judge.")
DRIFT = Counter("afresh_drift", "Times that the hit rate of the lists served has drifted.", ["slice"])
ROLLBACKS = Counter(
    "afresh_rollbacks", "Times that the weights went back to a snapshot, by cause.", ["cause"]
)
FUSION_WEIGHT = Gauge(
    "afresh_fusion_weight", "Weight of a scorer in the weights that lists are made with.", ["scorer"]
)
WEIGHTS_VERSION = Gauge("afresh_weights_version", "Version of the weights that lists are made with.")
WEIGHTS_AGE = Gauge(
    "afresh_weights_age_seconds", "Time that an example has waited to be learned from; 0 if none waits."
)
BROKEN_SCORES = Counter(
    "afresh_broken_scores", "Lists for which a scorer gave something that is no score.", ["scorer"]
)
REFUSED_EXAMPLES = Gauge(
    "afresh_refused_examples", "Examples so far that were not learned from because they are garbage."
)
SERVED_LISTS = Gauge("afresh_served_lists", "Lists that are remembered to be judged.")
SERVED_LISTS_BYTES = Gauge(
    "afresh_served_lists_bytes", "Memory of the lists that are remembered to be judged."
)
RECOVERED = Counter("afresh_recovered_records", "Changelog records read into tables.", ["table"])
RECOVERY_SECONDS = Gauge(
    "afresh_recovery_seconds",
    "Time of the last recovery of tables: as a whole, and the part spent on applying rows.",
    ["part"],
)
RECORDS_LOST = Counter(
    "afresh_records_lost", "Records that retention or DeleteRecords removed before they were read.", ["topic"]
)
POLICY_WRONG = Gauge(
    "afresh_topic_policy_wrong", "Whether a topic has another cleanup.policy than it must have.", ["topic"]
)
REBALANCES = Counter("afresh_rebalances", "Times that partitions were assigned anew.")
BUILD = Info("afresh_build", "Versions of afresh, Python and Faust.")

_platforms: set[str] = set()
_encoders: set[tuple[str, str]] = set()


def platform_label(platform: str) -> str:
    """Return the label of a platform: its name, or ``other`` once there are too many names."""
    if platform in _platforms:
        return platform
    if len(_platforms) >= LABEL_VALUES:
        return OTHER
    _platforms.add(platform)
    return platform


def report_encoders(items: Mapping[tuple[str, str], int]) -> None:
    """Report how many items each encoder has read, by its name and version; others are not shown any more."""
    for gone in _encoders - items.keys():
        ENCODER_ITEMS.remove(*gone)
    for encoder, count in items.items():
        ENCODER_ITEMS.labels(*encoder).set(count)
    _encoders.clear()
    _encoders.update(items)
