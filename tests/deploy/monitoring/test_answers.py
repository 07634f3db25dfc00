from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from afresh.deploy.monitoring import answers
from afresh.deploy.monitoring.answers import Stretch, lines, prometheus, scrape_seconds
from afresh.deploy.servers.process import free_ports
from afresh.state.errors import AfreshError, UnavailableError
from tests.deploy.monitoring.making import OVER, PANEL, Canned, series


class Connection:
    """Stands in for a connection, and answers with the same bytes."""

    said = b""
    asked: tuple[str, ...] = ()

    def __init__(self, place: str, timeout: float) -> None:
        self._place = place

    def request(self, method: str, page: str) -> None:
        Connection.asked = (self._place, method, page)

    def getresponse(self) -> Connection:
        return self

    def read(self) -> bytes:
        return self.said

    def close(self) -> None:
        pass


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Any:
    def say(said: object) -> None:
        monkeypatch.setattr(answers, "HTTPConnection", Connection)
        monkeypatch.setattr(
            Connection, "said", said if isinstance(said, bytes) else json.dumps(said).encode()
        )

    return say


def test_each_series_is_a_line_named_by_its_labels() -> None:
    canned = Canned(series("1", "2.5", kind="view"), series("0", "NaN", kind="click"))
    view, click = lines(canned, OVER, PANEL)
    assert (view.name, view.times.tolist(), view.values.tolist()) == ("view", [1000, 1005], [1, 2.5])
    assert click.name == "click"
    assert np.isnan(click.values[1])


def test_a_query_is_about_the_stretch_and_its_window_holds_four_scrapes_at_least() -> None:
    canned = Canned()
    assert lines(canned, OVER, PANEL) == []
    (asked,) = canned.asked
    assert asked == {
        "query": "sum(rate(x_total[6000ms]))",
        "start": "1000.000",
        "end": "1600.000",
        "step": "5.000",
    }
    assert Stretch(0, 600, 15).window == "60000ms"


def test_the_slowest_scrape_of_a_worker_counts() -> None:
    targets = [
        {"labels": {"job": "afresh"}, "scrapeInterval": "15s"},
        {"labels": {"job": "afresh-embed"}, "scrapeInterval": "1m30s"},
        {"labels": {"job": "node"}, "scrapeInterval": "1h"},
    ]
    assert scrape_seconds(Canned(targets=targets)) == 90
    with pytest.raises(AfreshError, match="scrapes no worker; give it a job"):
        scrape_seconds(Canned(targets=targets[2:]))


def test_prometheus_is_asked_below_its_own_path(says: Any) -> None:
    says({"status": "success", "data": {"result": []}})
    assert prometheus("http://metrics.example:9090/prom/")("query_range", {"query": "a + b"}) == {
        "result": []
    }
    assert Connection.asked == ("metrics.example:9090", "GET", "/prom/api/v1/query_range?query=a+%2B+b")


def test_what_prometheus_refuses_is_said(says: Any) -> None:
    says({"status": "error", "errorType": "bad_data", "error": "parse error"})
    with pytest.raises(AfreshError, match="refused a query: parse error"):
        prometheus("http://metrics.example")("query_range", {})


@pytest.mark.parametrize("said", [b"<html>", b"[]", {"ok": True}])
def test_what_is_no_prometheus_is_called_so(said: object, says: Any) -> None:
    says(said)
    with pytest.raises(AfreshError, match=r"what answers at http://metrics.example is no Prometheus"):
        prometheus("http://metrics.example")("query_range", {})


@pytest.mark.parametrize("address", ["", "metrics.example:9090", "ftp://metrics.example", "http://"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(AfreshError, match="is no address of a Prometheus; give one such as"):
        prometheus(address)


def test_a_prometheus_that_does_not_answer_may_do_so_later() -> None:
    (port,) = free_ports(1)
    with pytest.raises(UnavailableError, match="did not answer"):
        prometheus(f"http://127.0.0.1:{port}")("targets", {})
