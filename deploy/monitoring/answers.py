"""What Prometheus answers to the queries of a panel, over a stretch of time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np

from afresh.deploy.monitoring.panels import Panel, Query
from afresh.models.arrays import Doubles
from afresh.state.errors import AfreshError, UnavailableError

ANSWER_SECONDS = 30.0
SAMPLES = 120
"""Samples of a line: more are not seen in a panel that is 300 pixels wide."""

SCRAPES = 4
"""Scrapes in a window for rates, at least; so Grafana chooses ``$__rate_interval``."""

LABEL = re.compile(r"\{\{(\w+)\}\}")

Ask = Callable[[str, Mapping[str, str]], Any]
"""Asks a page of Prometheus' API, with parameters, and returns the data of its answer."""


@dataclass(frozen=True)
class Line:
    """A line of a panel.

    Attributes
    ----------
    name
        Its name in the legend.
    times, values
        Its samples, in seconds since 1970 and in the unit of the panel; shape (n,). A value may be NaN.
    """

    name: str
    times: Doubles
    values: Doubles


@dataclass(frozen=True)
class Stretch:
    """A stretch of time.

    Attributes
    ----------
    begin, end
        In seconds since 1970.
    scrape_seconds
        Time between two scrapes of the workers.
    """

    begin: float
    end: float
    scrape_seconds: float

    @property
    def step(self) -> float:
        """Time between two samples, in seconds."""
        return max((self.end - self.begin) / SAMPLES, self.scrape_seconds)

    @property
    def window(self) -> str:
        """The window for rates, as PromQL writes it."""
        seconds = max(self.step + self.scrape_seconds, SCRAPES * self.scrape_seconds)
        return f"{round(seconds * 1000)}ms"


def prometheus(address: str) -> Ask:
    """Return a function that asks a Prometheus.

    Raises
    ------
    AfreshError
        The address is none; the function raises it for what Prometheus refuses.
    UnavailableError
        The function raises it if nobody answers.
    """
    parts = urlsplit(address)
    kinds = {"http": HTTPConnection, "https": HTTPSConnection}
    if parts.scheme not in kinds or not parts.hostname:
        raise AfreshError(
            f"{address!r} is no address of a Prometheus; give one such as http://127.0.0.1:9090"
        )
    # host:port of the address is taken apart by the connection.
    place, path = parts.netloc, parts.path.rstrip("/")

    def ask(page: str, given: Mapping[str, str]) -> Any:
        # Not urllib: with http_proxy set, it would ask the proxy for a page of this very machine.
        connection = kinds[parts.scheme](place, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", f"{path}/api/v1/{page}?{urlencode(given)}")
            said = connection.getresponse().read()
        except (HTTPException, OSError) as error:
            raise UnavailableError(
                f"the Prometheus at {address} did not answer ({error}); is it running?"
            ) from error
        finally:
            connection.close()
        return _data(said, address)

    return ask


def _data(said: bytes, address: str) -> Any:
    try:
        answer = json.loads(said)
        if answer["status"] == "success":
            return answer["data"]
        why = answer["error"]
    except (ValueError, KeyError, TypeError) as error:
        raise AfreshError(f"what answers at {address} is no Prometheus; give the address of one") from error
    raise AfreshError(f"the Prometheus at {address} refused a query: {why}")


def scrape_seconds(ask: Ask) -> float:
    """Return the longest time between two scrapes of a worker.

    Raises
    ------
    AfreshError
        If Prometheus scrapes no worker.
    """
    found = [
        _seconds(each["scrapeInterval"])
        for each in ask("targets", {"state": "active"})["activeTargets"]
        if each["labels"]["job"].startswith("afresh")
    ]
    if not found:
        raise AfreshError("this Prometheus scrapes no worker; give it a job whose name begins with afresh")
    return max(found)


def _seconds(duration: str) -> float:
    """Read a duration as Prometheus writes it.

    Examples
    --------
    >>> _seconds("15s"), _seconds("1m30s"), _seconds("500ms")
    (15.0, 90.0, 0.5)
    """
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"(\d+)(ms|[smh])", duration))


def lines(ask: Ask, over: Stretch, panel: Panel) -> list[Line]:
    """Return the lines of a panel; none if Prometheus has no data.

    Raises
    ------
    AfreshError
        If Prometheus does not answer, or refuses a query.
    """
    return [line for query in panel.queries for line in _lines(ask, over, query)]


def _lines(ask: Ask, over: Stretch, query: Query) -> list[Line]:
    given = {
        "query": query.expression.replace("$__rate_interval", over.window),
        "start": f"{over.begin:.3f}",
        "end": f"{over.end:.3f}",
        "step": f"{over.step:.3f}",
    }
    return [_line(query, each) for each in ask("query_range", given)["result"]]


def _line(query: Query, series: Mapping[str, Any]) -> Line:
    times, values = zip(*series["values"], strict=True)
    return Line(_name(query.legend, series["metric"]), np.array(times, float), np.array(values, float))


def _name(legend: str, labels: Mapping[str, str]) -> str:
    """Put the values of labels into a legend, as Grafana does.

    Examples
    --------
    >>> _name("{{topic}}-{{partition}}", {"topic": "afresh.events", "partition": "3"})
    'afresh.events-3'
    """
    return LABEL.sub(lambda found: labels.get(found[1], ""), legend)
