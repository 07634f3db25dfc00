"""Alerts: what a person should hear of, and how urgently. Each has a section in ``deploy/runbooks.md``.

The two service levels are watched by burn rates over two windows each (Google, *The Site Reliability Workbook*, chapter
5, "Multiwindow, multi-burn-rate alerts"): the long window tells that it matters, the short one that it still goes on.
That no event is lost is promised without exception. There is no budget that could burn: one is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

PAGE, TICKET = "page", "ticket"
"""Severities: wake somebody up, or let somebody look in working hours."""

BURN_RATES = ((PAGE, 14.4, 3_600, 300), (TICKET, 6.0, 21_600, 1_800))
"""Severity, times as fast as the budget of 30 days allows, long and short window in seconds."""


@dataclass(frozen=True)
class Alert:
    """An alert.

    Attributes
    ----------
    name
        Its name; also that of its section in the runbooks.
    expression
        True while it should fire, in PromQL; ``{window}`` and the like stand for durations that scale, ``{limit}`` for
        ``limit_seconds``.
    for_seconds
        How long it must be true.
    severity
        ``PAGE`` or ``TICKET``.
    summary
        One sentence, which may use labels.
    windows
        Durations by the name they have in the expression, in seconds.
    limit_seconds
        How long something may take or wait, where the expression compares with that.
    """

    name: str
    expression: str
    for_seconds: int
    severity: str
    summary: str
    windows: tuple[tuple[str, int], ...] = ()
    limit_seconds: int = 0


@dataclass(frozen=True)
class ServiceLevel:
    """A promise, as the share of good ones among all.

    Attributes
    ----------
    name
        First part of the names of its alerts.
    objective
        Share that is promised.
    bad
        Ratio of bad ones to all over ``{window}``, in PromQL.
    summary
        What is bad, in words.
    """

    name: str
    objective: float
    bad: str
    summary: str

    def alerts(self) -> Iterator[Alert]:
        """Yield an alert for each burn rate."""
        for severity, rate, long, short in BURN_RATES:
            limit = round(rate * (1 - self.objective), 6)
            windows = self.bad.replace("{window}", "{long}"), self.bad.replace("{window}", "{short}")
            yield Alert(
                f"{self.name}{'BurnsFast' if severity == PAGE else 'BurnsSlowly'}",
                " and ".join(f"({window}) > {limit:g}" for window in windows),
                120 if severity == PAGE else 900,
                severity,
                f"{self.summary}, {rate:g} times as often as the promise of {self.objective:.1%} allows.",
                (("long", long), ("short", short)),
            )


def grown(counter: str, by: str = "") -> str:
    """Return the expression of how much a counter has grown within ``{window}``.

    To Prometheus, a series that begins at 7 has not grown: ``increase`` misses what is counted before the first scrape,
    and the first count of each label. A series that did not exist before the window counts with its value.

    Examples
    --------
    >>> grown("x_total")
    'sum((increase(x_total[{window}]) > 0) or (x_total unless x_total offset {window}))'
    >>> grown("x_total", "topic")[:14]
    'sum by (topic)'
    """
    grouped = f" by ({by}) " if by else ""
    return (
        f"sum{grouped}((increase({counter}[{{window}}]) > 0) "
        f"or ({counter} unless {counter} offset {{window}}))"
    )


SERVICE_LEVELS = (
    ServiceLevel(
        "AfreshFreshness",
        0.99,
        '1 - sum(rate(afresh_event_to_redis_seconds_bucket{le="1.0"}[{window}])) '
        "/ sum(rate(afresh_event_to_redis_seconds_count[{window}]))",
        "Lists come later than a second after their event",
    ),
    ServiceLevel(
        "AfreshLists",
        0.999,
        'sum(rate(afresh_inspected_lists_total{found!="right"}[{window}])) '
        "/ sum(rate(afresh_inspected_lists_total[{window}]))",
        "Lists are missing in Redis, or older than they should be",
    ),
)

SOON_DONE = '{topic!~".*[.]texts([.]again)?"}'
"""Topics whose records are soon done. A new catalogue's texts take hours, and those read again wait behind them: nobody
need get up for that, and another alert tells when they do not become fewer."""

KEPT = '{topic!~".*[.](questions|texts[.]again)"}'
"""Topics whose records must not be lost. Nobody waits any more for the answer to a question that retention has removed,
and a text that no encoder has read is asked for again."""

READ, HAVE_AN_OUTCOME, KNOWN = (
    f"sum by (instance) ({metric})"
    for metric in (
        'afresh_stage_records_total{stage="ingest"}',
        "afresh_events_total",
        'afresh_already_counted_total{stage="ingest"}',
    )
)

LEARNED = 'afresh_stage_records_total{stage="learn"}'
"""Items taken that change rows, and so make a model old. At rest it may be of any age: nothing has changed since."""

CAUSES = (
    Alert(
        "AfreshNotReady",
        "min by (instance) (afresh_ready) == 0",
        300,
        PAGE,
        "{{ $labels.instance }} is not ready; its page /ready says why.",
    ),
    Alert(
        "AfreshDown",
        'up{job=~"afresh.*"} == 0',
        120,
        PAGE,
        "{{ $labels.instance }} does not answer Prometheus.",
    ),
    Alert(
        "AfreshLagGrows",
        f"max by (topic) (afresh_lag_seconds{SOON_DONE}) > {{limit}} and "
        f"max by (topic) (delta(afresh_lag_seconds{SOON_DONE}[{{window}}])) > 0",
        600,
        PAGE,
        "The oldest record of {{ $labels.topic }} has waited for {{ $value | humanizeDuration }}, and it grows.",
        (("window", 600),),
        60,
    ),
    Alert(
        "AfreshRecordsLost",
        grown(f"afresh_records_lost_total{KEPT}", "topic") + " > 0",
        0,
        PAGE,
        "Records of {{ $labels.topic }} were removed before a worker had read them.",
        (("window", 3_600),),
    ),
    Alert(
        "AfreshUncounted",
        f"{READ} - ({HAVE_AN_OUTCOME} or {READ} * 0) - ({KNOWN} or {READ} * 0) > 0",
        600,
        PAGE,
        "{{ $labels.instance }} read {{ $value }} events that it neither accepted nor refused nor knew.",
    ),
    Alert(
        "AfreshKafkaTakesNoWrites",
        "max by (instance) (afresh_kafka_write_age_seconds) > 30",
        60,
        PAGE,
        "Kafka has acknowledged nothing to {{ $labels.instance }} for {{ $value | humanizeDuration }}.",
    ),
    Alert(
        "AfreshCommitsStandStill",
        f"max by (topic, partition) (afresh_commit_age_seconds{SOON_DONE}) > {{limit}}",
        60,
        TICKET,
        "Runs of {{ $labels.topic }}-{{ $labels.partition }} have waited for {{ $value | humanizeDuration }} "
        "to be committed.",
        limit_seconds=300,
    ),
    Alert(
        "AfreshKafkaThrottles",
        "sum by (instance) (rate(afresh_kafka_throttled_seconds_total[{window}])) > 0.1",
        600,
        TICKET,
        "A quota of Kafka makes {{ $labels.instance }} wait.",
        (("window", 300),),
    ),
    Alert(
        "AfreshRedisRefuses",
        "sum by (instance) (rate(afresh_redis_retries_total[{window}])) > 0.02",
        120,
        PAGE,
        "Redis does not take what {{ $labels.instance }} writes.",
        (("window", 300),),
    ),
    Alert(
        "AfreshRedisLost",
        grown("afresh_redis_losses_total") + " > 0",
        0,
        TICKET,
        "Redis has lost all lists; workers make them again.",
        (("window", 3_600),),
    ),
    Alert(
        "AfreshDeadLetters",
        grown("afresh_dead_letters_total", "reason") + " > 100",
        0,
        TICKET,
        "{{ $value | humanize }} records within an hour could not be used: {{ $labels.reason }}.",
        (("window", 3_600),),
    ),
    Alert(
        "AfreshRecoverySlow",
        'max by (instance) (afresh_recovery_seconds{part="whole"}) > {limit}',
        0,
        TICKET,
        "{{ $labels.instance }} took {{ $value | humanizeDuration }} to recover its tables.",
        limit_seconds=300,
    ),
    Alert(
        "AfreshDrift",
        grown("afresh_drift_total", "slice") + " > 0",
        0,
        TICKET,
        "The hit rate of {{ $labels.slice }} has moved.",
        (("window", 3_600),),
    ),
    Alert(
        "AfreshRolledBack",
        grown('afresh_rollbacks_total{cause!="command"}') + " > 0",
        0,
        TICKET,
        "The guard took the weights back to a snapshot.",
        (("window", 3_600),),
    ),
    Alert(
        "AfreshUnderPopularity",
        'max(afresh_hit_rate_10{slice="all",ranking="served"}) '
        '< max(afresh_hit_rate_10{slice="all",ranking="popularity"})',
        3_600,
        TICKET,
        "Lists are worse than the most popular items, which everybody could be given.",
    ),
    Alert(
        "AfreshWeightsWait",
        "max(afresh_weights_age_seconds) > {limit}",
        120,
        TICKET,
        "An example has waited for {{ $value | humanizeDuration }} to be learned from.",
        limit_seconds=300,
    ),
    Alert(
        "AfreshModelOld",
        f"max by (job) (afresh_model_age_seconds) > {{limit}} and {grown(LEARNED, 'job')} > 0",
        900,
        TICKET,
        "The model of {{ $labels.job }} is {{ $value | humanizeDuration }} old, though people go on taking items.",
        (("window", 600),),
        3_600,
    ),
    Alert(
        "AfreshScorerBroken",
        grown("afresh_broken_scores_total", "scorer") + " > 0",
        0,
        TICKET,
        "The scorer {{ $labels.scorer }} gave something that is no score.",
        (("window", 3_600),),
    ),
    Alert(
        "AfreshEmbeddingsBehind",
        "sum(afresh_embedding_queue) > 0 and "
        "sum(afresh_embedding_queue) >= sum(afresh_embedding_queue offset {window})",
        900,
        TICKET,
        "{{ $value | humanize }} texts wait to be encoded, and they do not become fewer.",
        (("window", 900),),
    ),
    Alert(
        "AfreshDiskFull",
        "min by (instance) (afresh_disk_free_bytes / afresh_disk_size_bytes) < 0.1",
        300,
        TICKET,
        "The disk of {{ $labels.instance }} has {{ $value | humanizePercentage }} left.",
    ),
    Alert(
        "AfreshTopicPolicyWrong",
        "max by (topic) (afresh_topic_policy_wrong) > 0",
        0,
        PAGE,
        "{{ $labels.topic }} has another cleanup.policy than it must have: rows can be lost.",
    ),
)

ALERTS = (*(alert for level in SERVICE_LEVELS for alert in level.alerts()), *CAUSES)
