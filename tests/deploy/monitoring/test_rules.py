"""Prometheus' own tool reads the rules, and finds that each alert fires when it should, and not before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from afresh.deploy.monitoring.alerts import ALERTS
from afresh.deploy.monitoring.rules import rules
from afresh.deploy.servers.kafka import REPOSITORY

LONG = 420
"""Minutes of the series: longer than the longest window, six hours."""

LATE, KNOWN = 'afresh_event_to_redis_seconds_bucket{le="1.0"}', "afresh_event_to_redis_seconds_count"
RIGHT = 'afresh_inspected_lists_total{found="right"}'
MISSING = 'afresh_inspected_lists_total{found="missing"}'
READ = 'afresh_stage_records_total{stage="ingest"}'
ACCEPTED = 'afresh_events_total{outcome="accepted"}'
LEARNED = 'afresh_stage_records_total{stage="learn"}'
REPEATED = 'afresh_already_counted_total{stage="ingest"}'


def steady(value: float) -> str:
    """A gauge that stays as it is."""
    return f"{value:g}x{LONG}"


def growing(step: float, start: float = 0) -> str:
    """A counter, or a gauge, that grows by ``step`` a minute."""
    return f"{start:g}+{step:g}x{LONG}"


def once(count: float = 1, at: int = 2) -> str:
    """A counter that counts once, ``at`` minutes after the beginning."""
    return f"0x{at} {count:g}x{LONG - at}"


Series = dict[str, str]

FIRES: dict[str, tuple[Series, str, str]] = {
    "AfreshFreshnessBurnsFast": ({LATE: steady(0), KNOWN: growing(60)}, "2m", "10m"),
    "AfreshFreshnessBurnsSlowly": ({LATE: growing(90), KNOWN: growing(100)}, "10m", "30m"),
    "AfreshListsBurnsFast": ({RIGHT: growing(95), MISSING: growing(5)}, "2m", "10m"),
    "AfreshListsBurnsSlowly": ({RIGHT: growing(992), MISSING: growing(8)}, "10m", "30m"),
    "AfreshNotReady": ({'afresh_ready{instance="a"}': steady(0)}, "4m", "6m"),
    "AfreshDown": ({'up{job="afresh",instance="a"}': steady(0)}, "1m", "3m"),
    "AfreshLagGrows": ({'afresh_lag_seconds{topic="t"}': growing(60)}, "8m", "20m"),
    "AfreshRecordsLost": ({'afresh_records_lost_total{topic="t"}': once()}, "2m", "3m"),
    "AfreshUncounted": ({READ: growing(100), ACCEPTED: growing(90), REPEATED: growing(0)}, "5m", "15m"),
    "AfreshKafkaTakesNoWrites": ({'afresh_kafka_write_age_seconds{instance="a"}': growing(60)}, "1m", "3m"),
    "AfreshCommitsStandStill": (
        {'afresh_commit_age_seconds{topic="t",partition="0"}': growing(60)},
        "5m",
        "8m",
    ),
    "AfreshKafkaThrottles": (
        {'afresh_kafka_throttled_seconds_total{request="Fetch",instance="a"}': growing(30)},
        "8m",
        "15m",
    ),
    "AfreshRedisRefuses": ({'afresh_redis_retries_total{instance="a"}': growing(10)}, "1m", "5m"),
    "AfreshRedisLost": ({"afresh_redis_losses_total": once()}, "2m", "3m"),
    "AfreshDeadLetters": ({'afresh_dead_letters_total{reason="r"}': growing(20)}, "1m", "10m"),
    "AfreshRecoverySlow": (
        {'afresh_recovery_seconds{part="whole",instance="a"}': f"0x2 400x{LONG}"},
        "2m",
        "3m",
    ),
    "AfreshDrift": ({'afresh_drift_total{slice="all"}': once()}, "2m", "3m"),
    "AfreshRolledBack": ({'afresh_rollbacks_total{cause="guard"}': once()}, "2m", "3m"),
    "AfreshUnderPopularity": (
        {
            'afresh_hit_rate_10{slice="all",ranking="served"}': steady(0.1),
            'afresh_hit_rate_10{slice="all",ranking="popularity"}': steady(0.2),
        },
        "50m",
        "70m",
    ),
    "AfreshWeightsWait": ({"afresh_weights_age_seconds": growing(60)}, "6m", "9m"),
    "AfreshModelOld": ({"afresh_model_age_seconds": growing(60), LEARNED: growing(1)}, "75m", "78m"),
    "AfreshScorerBroken": ({'afresh_broken_scores_total{scorer="s"}': once()}, "2m", "3m"),
    "AfreshEmbeddingsBehind": ({"afresh_embedding_queue": growing(1, 10)}, "25m", "35m"),
    "AfreshDiskFull": (
        {
            'afresh_disk_free_bytes{instance="a"}': steady(5),
            'afresh_disk_size_bytes{instance="a"}': steady(99),
        },
        "3m",
        "7m",
    ),
    "AfreshTopicPolicyWrong": ({'afresh_topic_policy_wrong{topic="t"}': f"0x2 1x{LONG}"}, "2m", "3m"),
}
"""Alert: series under which it fires, when it does not fire yet, and when it does."""

SILENT: dict[str, Series] = {
    "AfreshFreshnessBurnsSlowly": {LATE: growing(99), KNOWN: growing(100)},
    "AfreshListsBurnsFast": {RIGHT: growing(1000), MISSING: growing(1)},
    "AfreshLagGrows": {
        'afresh_lag_seconds{topic="t"}': f"{LONG * 60}-60x{LONG - 10}",
        'afresh_lag_seconds{topic="shop.texts"}': growing(60),
        'afresh_lag_seconds{topic="shop.texts.again"}': growing(60),
    },
    "AfreshRecordsLost": {
        f'afresh_records_lost_total{{topic="shop.{topic}"}}': once() for topic in ("questions", "texts.again")
    },
    "AfreshUncounted": {READ: growing(100), ACCEPTED: growing(80), REPEATED: growing(20)},
    "AfreshCommitsStandStill": {
        f'afresh_commit_age_seconds{{topic="shop.{topic}",partition="0"}}': growing(60)
        for topic in ("texts", "texts.again")
    },
    "AfreshRolledBack": {'afresh_rollbacks_total{cause="command"}': once()},
    "AfreshModelOld": {
        # At rest, save for one item that was taken; that one changes no row, so that the model stays as it is.
        'afresh_model_age_seconds{job="shop"}': growing(60),
        'afresh_stage_records_total{stage="learn",job="shop"}': f"0+1x10 10x100 11x{LONG - 111}",
        # Made anew again and again, with up to a million items.
        'afresh_model_age_seconds{job="mall"}': "0+60x45 " * 9,
        'afresh_stage_records_total{stage="learn",job="mall"}': growing(10),
    },
    "AfreshEmbeddingsBehind": {"afresh_embedding_queue": f"{LONG * 10}-10x{LONG - 10}"},
    "AfreshDeadLetters": {'afresh_dead_letters_total{reason="r"}': growing(1)},
}
"""Alert: series that look like trouble, and under which it must never fire."""

BORN: dict[str, tuple[str, int]] = {
    "AfreshRecordsLost": ('afresh_records_lost_total{topic="t"}', 7),
    "AfreshDeadLetters": ('afresh_dead_letters_total{reason="r"}', 170),
    "AfreshDrift": ('afresh_drift_total{slice="all"}', 1),
    "AfreshRolledBack": ('afresh_rollbacks_total{cause="guard"}', 1),
    "AfreshScorerBroken": ('afresh_broken_scores_total{scorer="s"}', 1),
    "AfreshUncounted": (READ, 5),
}
"""Alert: a counter that has a value when Prometheus sees it for the first time; to ``increase`` it never grows."""

PAGE = "import afresh.streams.metrics, prometheus_client as p; print(p.generate_latest().decode(), end='')"
"""Prints the metrics as a process begins with them; those of this process hold what other tests have counted."""

LOOKS = ["3m", "30m", "90m", "200m", "400m"]

OVER: Series = {LATE: f"0x60 0+60x{LONG}", KNOWN: growing(60)}
"""Every list is late for an hour, and none afterwards: the short window ends the alert long before the other does."""


@pytest.fixture
def promtool(prometheus: str) -> str:
    """Return the path of the tool that comes with Prometheus."""
    return str(Path(prometheus).with_name("promtool"))


def passed(*command: str, given: bytes | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def looks(alert: str, times: dict[str, int]) -> list[dict[str, Any]]:
    """Say whether an alert fires at some times."""
    return [
        {
            "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
            "eval_time": time,
            "exp_samples": [{"labels": "{}", "value": value}],
        }
        for time, value in times.items()
    ]


def case(series: Series, expected: list[dict[str, Any]]) -> dict[str, Any]:
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    return {"interval": "1m", "input_series": inputs, "promql_expr_test": expected}


def test_every_alert_has_a_case() -> None:
    assert list(FIRES) == [alert.name for alert in ALERTS]


def test_each_alert_fires_when_it_should_and_not_before(promtool: str, tmp_path: Path) -> None:
    cases = [
        *(case(series, looks(name, {no: 0, yes: 1})) for name, (series, no, yes) in FIRES.items()),
        *(case(series, looks(name, dict.fromkeys(LOOKS, 0))) for name, series in SILENT.items()),
        *(
            case({series: f"_x9 {count}x{LONG}"}, looks(name, {"8m": 0, "25m": 1}))
            for name, (series, count) in BORN.items()
        ),
        case(OVER, looks("AfreshFreshnessBurnsFast", {"60m": 1, "70m": 0})),
    ]
    (tmp_path / "rules.yml").write_text(rules(), "utf-8")
    whole = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": cases}
    # YAML reads JSON.
    (tmp_path / "cases.yml").write_text(json.dumps(whole), "utf-8")
    passed(promtool, "test", "rules", str(tmp_path / "cases.yml"))


def test_prometheus_reads_its_settings_and_the_rules(promtool: str) -> None:
    folder = REPOSITORY / "deploy" / "prometheus"
    said = passed(promtool, "check", "config", str(folder / "prometheus.yml"))
    assert f"{len(ALERTS)} rules found" in said


def test_prometheus_finds_nothing_to_better_in_the_metrics(promtool: str) -> None:
    passed(promtool, "check", "metrics", given=passed(sys.executable, "-c", PAGE).encode())
