"""A real Prometheus that scrapes real workers answers every expression of the dashboards, and raises alerts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from afresh.deploy.monitoring.dashboards import DASHBOARDS
from afresh.deploy.servers.prometheus import local_prometheus
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment, told_to_stop, wait
from tests.kafka.prometheus import asked, firing

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


def empty(address: str) -> list[str]:
    """Name the expressions to which Prometheus has no data."""
    return [
        where
        for where, expression in EXPRESSIONS.items()
        if not asked(address, "query", query=expression)["result"]
    ]


def test_every_panel_shows_data_of_real_workers_and_a_worker_that_is_gone_raises_an_alert(
    made: Deployment, prometheus: str, tmp_path: Path
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
