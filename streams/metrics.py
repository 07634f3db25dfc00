"""What Prometheus sees: every metric of every process, in base units, never labelled by user or item."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, Info

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets from 1 ms to 10 s."""

LABEL_VALUES = 100
"""Distinct platforms that get a label of their own; producers choose the names, so their number has no bound."""

OTHER = "other"

EVENTS = Counter("afresh_events", "Events read, by what became of them.", ["type", "platform", "outcome"])
DEAD_LETTERS = Counter("afresh_dead_letters", "Records that could not be used, by reason.", ["reason"])
STAGE_SECONDS = Histogram("afresh_stage_seconds", "Time of a stage for one run.", ["stage"], buckets=SECONDS)
STAGE_RECORDS = Counter("afresh_stage_records", "Records taken in by a stage.", ["stage"])
SKIPPED = Counter("afresh_already_counted", "Records delivered again and skipped as counted.", ["stage"])
NOT_LEARNED = Counter(
    "afresh_not_learned",
    "Items taken that others do not learn from: their users took too many within the hour.",
)
RUNS_DROPPED = Counter(
    "afresh_runs_dropped", "Runs dropped because their partition had moved away.", ["stage"]
)
RUNS_REPEATED = Counter(
    "afresh_runs_repeated",
    "Runs with records that were counted before a crash or a rebalance, and came again.",
    ["stage"],
)
COMMIT_AGE = Gauge(
    "afresh_commit_age_seconds",
    "Time since the last commit of a partition of which runs wait to be committed.",
    ["topic", "partition"],
)
SEND_RETRIES = Counter("afresh_send_retries", "Batches that Kafka did not take at once.", ["topic"])
EVENT_TO_REDIS = Histogram(
    "afresh_event_to_redis_seconds", "From Kafka's taking an event to the list in Redis.", buckets=SECONDS
)
LAG_RECORDS = Gauge(
    "afresh_lag_records", "Records of this process's partitions that it has not done with.", ["topic"]
)
LAG_SECONDS = Gauge("afresh_lag_seconds", "Age of the oldest of these records.", ["topic"])
ROWS = Gauge("afresh_rows", "Rows held by this worker.", ["table"])
LISTS = Counter("afresh_lists", "Lists made, by what Redis did with them.", ["outcome"])
REDIS_RETRIES = Counter("afresh_redis_retries", "Writes that Redis did not take at once.")
REDIS_LOSSES = Counter("afresh_redis_losses", "Times that Redis was found to have lost the lists.")
CATALOGUE_ITEMS = Gauge("afresh_catalogue_items", "Items in the catalogue.")
CATALOGUE_EMBEDDED = Gauge(
    "afresh_catalogue_embedded_items", "Items in the catalogue that have an embedding."
)
EMBEDDING_QUEUE = Gauge("afresh_embedding_queue", "Texts waiting to be encoded.")
EMBEDDING_SECONDS = Histogram(
    "afresh_embedding_seconds", "Time to encode one batch of texts.", buckets=SECONDS
)
HIT_RATE = Gauge(
    "afresh_hit_rate_10",
    "Share of the items taken lately that stood among the first ten, by slice and ranking.",
    ["slice", "ranking"],
)
NDCG = Gauge("afresh_ndcg_10", "NDCG of the first ten over items taken lately.", ["slice", "ranking"])
JUDGED = Gauge("afresh_judged_examples", "Items taken, ever, by users who had a list or were new.", ["slice"])
UNJUDGED = Gauge("afresh_unjudged_examples", "Items taken, ever, that no list is judged by.")
DRIFT = Counter("afresh_drift", "Times that the hit rate of the lists served has drifted.", ["slice"])
ROLLBACKS = Counter("afresh_rollbacks", "Times that the weights went back, by cause.", ["cause"])
FUSION_WEIGHT = Gauge(
    "afresh_fusion_weight", "Weight of a scorer in the fusion, mean of partitions.", ["scorer"]
)
RECOVERED = Counter("afresh_recovered_records", "Records of changelogs read into tables.", ["table"])
RECOVERY_SECONDS = Gauge(
    "afresh_recovery_seconds",
    "Time of the last recovery of tables, and that spent on applying rows.",
    ["part"],
)
REBALANCES = Counter("afresh_rebalances", "Times that partitions were assigned anew.")
BUILD = Info("afresh_build", "Version of the program and of what it stands on.")

_platforms: set[str] = set()


def platform_label(platform: str) -> str:
    """Label of a platform: its name, or ``other`` once there are too many names."""
    if platform in _platforms:
        return platform
    if len(_platforms) >= LABEL_VALUES:
        return OTHER
    _platforms.add(platform)
    return platform
