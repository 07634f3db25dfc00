"""A real Prometheus that scrapes real workers answers every expression of the dashboards, and raises alerts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from afresh.deploy.monitoring.dashboards import DASHBOARDS
from afresh.deploy.servers.prometheus import local_prometheus, require_prometheus
from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment, told_to_stop, wait
from tests.streams.making import read_page

WINDOW = "20s"
"""Grafana's ``$__rate_interval`` with a scrape a second, made longer for a busy machine."""

SCALE = 0.02
"""Durations of alerts: two minutes take 2.4 s."""

EXPRESSIONS = {
    f"{board.name}: {panel.title}: {query.legend}": query.expression.replace("$__rate_interval", WINDOW)
    for board in DASHBOARDS
    for panel in board.panels
    for query in panel.queries
}


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings.model_copy(update={"encoder": "minilm"}), tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def _prometheus_is_here() -> None:
    """Skip the test where there is no Prometheus."""
    try:
        require_prometheus()
    except AfreshError as error:
        pytest.skip(str(error))


def asked(address: str, path: str, **given: str) -> Any:
    status, said = read_page(int(address.rpartition(":")[2]), f"/api/v1/{path}?{urlencode(given)}")
    assert status == 200, said
    return json.loads(said)["data"]


def empty(address: str) -> list[str]:
    """Name the expressions to which Prometheus has no data."""
    return [
        where
        for where, expression in EXPRESSIONS.items()
        if not asked(address, "query", query=expression)["result"]
    ]


def firing(address: str) -> set[str]:
    """Name the alerts that fire."""
    alerts = asked(address, "alerts")["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


def test_every_panel_shows_data_of_real_workers_and_a_worker_that_is_gone_raises_an_alert(
    made: Deployment, tmp_path: Path
) -> None:
    worker, embed = made.process(), made.process("embed-worker")
    ports = {"afresh": worker.port, "afresh-embed": embed.port}
    with made.running(embed), made.running(worker), local_prometheus(tmp_path / "p", ports, SCALE) as address:
        for number in range(30):
            made.item(f"i{number}", text=f"the film {number}")
        made.load(600, users=30)
        made.answer("ann", made.event("ann", "i1"))
        with suppress(AssertionError):
            wait(lambda: not empty(address), "data in every panel", 60.0)
        assert empty(address) == []
        assert "AfreshDown" not in firing(address)
        assert told_to_stop(worker) == 0
        wait(lambda: "AfreshDown" in firing(address), "the alert")
