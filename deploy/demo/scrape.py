"""Reads the page that a process serves: whether it is ready, and its metrics."""

from __future__ import annotations

from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_SECONDS = 2.0


class Readings:
    r"""Values of metrics at one moment.

    Parameters
    ----------
    text
        A page in Prometheus's text format.

    Examples
    --------
    >>> readings = Readings('afresh_lag_records{topic="afresh.events"} 3\nafresh_catalogue_items 7\n')
    >>> readings.total("afresh_catalogue_items"), readings.by("afresh_lag_records", "topic")
    (7, {'afresh.events': 3})
    """

    def __init__(self, text: str = "") -> None:
        self._samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over the labels not given; 0 if there is no such metric."""
        wanted = labels.items()
        return sum(s.value for s in self._samples if s.name == name and wanted <= s.labels.items())

    def total(self, name: str, **labels: str) -> int:
        """Return the same sum as an integer, for a metric that counts."""
        return int(self.value(name, **labels))

    def by(self, name: str, label: str) -> dict[str, int]:
        """Return the values of a metric by one of its labels."""
        return {s.labels[label]: int(s.value) for s in self._samples if s.name == name}


class Page:
    """The page of a process on this machine.

    Parameters
    ----------
    port
        Its port.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/metrics"

    def ready(self) -> bool:
        """Whether the process reports itself ready."""
        return not self.not_ready()

    def not_ready(self) -> str:
        """Say in a few words what is not ready yet; empty when everything is."""
        status, text = self._get("/ready")
        return "" if status == HTTPStatus.OK else text.strip()

    def read(self) -> Readings:
        """Read the metrics; they are empty while the process does not answer."""
        status, text = self._get("/metrics")
        return Readings(text if status == HTTPStatus.OK else "")

    def _get(self, path: str) -> tuple[int, str]:
        # Not urllib: with http_proxy set, it would ask the proxy for the page of this very machine.
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, str(answer.read(), "utf-8")
        except (HTTPException, OSError) as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, f"does not answer ({error!r})"
        finally:
            connection.close()
