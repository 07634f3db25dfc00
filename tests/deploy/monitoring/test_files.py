"""The files in the repository are those that the source makes, and name what exists."""

from __future__ import annotations

import re

import pytest
from prometheus_client.metrics import MetricWrapperBase

from afresh.deploy.monitoring.alerts import ALERTS
from afresh.deploy.monitoring.dashboards import DASHBOARDS
from afresh.deploy.monitoring.files import files
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.streams import metrics

DEPLOY = REPOSITORY / "deploy"
NAME = re.compile(r"\bafresh_\w+")

EXPRESSIONS = [
    *((alert.name, alert.expression) for alert in ALERTS),
    *(
        (f"{board.name}: {panel.title}", query.expression)
        for board in DASHBOARDS
        for panel in board.panels
        for query in panel.queries
    ),
]


def samples() -> dict[str, str]:
    """Return the names of all time series of ours, with the metric that each is of."""
    found: dict[str, str] = {}
    for metric in vars(metrics).values():
        for family in metric.describe() if isinstance(metric, MetricWrapperBase) else ():
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"]}
            found |= {family.name + suffix: family.name for suffix in suffixes.get(family.type, [""])}
    return found


def test_the_files_are_those_that_the_source_makes() -> None:
    for name, text in files().items():
        assert (DEPLOY / name).read_text("utf-8") == text, "run: python -m afresh.deploy.monitoring"


def test_there_are_no_other_files() -> None:
    found = {
        str(path.relative_to(DEPLOY))
        for folder in ("grafana", "prometheus")
        for path in (DEPLOY / folder).rglob("*")
        if path.is_file()
    }
    assert found == set(files())


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS)
def test_every_expression_names_metrics_that_exist(where: str, expression: str) -> None:
    named = set(NAME.findall(expression))
    assert named <= samples().keys(), where
    assert named or "up{" in expression or "process_" in expression, where


def test_every_metric_stands_in_a_dashboard() -> None:
    known = samples()
    shown = {
        known[name]
        for board in DASHBOARDS
        for panel in board.panels
        for query in panel.queries
        for name in NAME.findall(query.expression)
    }
    assert set(known.values()) - shown == set()
