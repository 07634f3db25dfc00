"""What tests of pictures share: a Prometheus that answers from memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afresh.deploy.monitoring.answers import Stretch
from afresh.deploy.monitoring.panels import Panel, Query

OVER = Stretch(1000.0, 1600.0, 1.0)

PANEL = Panel("Events", "ops", (Query("sum(rate(x_total[$__rate_interval]))", "{{kind}}"),), "It tells.")

WORKERS = [{"labels": {"job": "afresh"}, "scrapeInterval": "1s"}]


def series(*values: str, begin: float = 1000.0, **labels: str) -> dict[str, Any]:
    """Return a series as Prometheus writes it, with a sample every five seconds."""
    return {"metric": labels, "values": [[begin + 5 * place, value] for place, value in enumerate(values)]}


class Canned:
    """Answers every query with the same series, and remembers what it was asked."""

    def __init__(self, *found: dict[str, Any], targets: list[dict[str, Any]] = WORKERS) -> None:
        self.asked: list[Mapping[str, str]] = []
        self._found = list(found)
        self._targets = targets

    def __call__(self, page: str, given: Mapping[str, str]) -> Any:
        if page == "targets":
            return {"activeTargets": self._targets}
        assert page == "query_range"
        self.asked.append(given)
        return {"result": self._found}
