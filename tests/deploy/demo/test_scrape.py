from collections.abc import Iterator
from wsgiref.simple_server import WSGIServer

import pytest
from prometheus_client import Counter

from afresh.deploy.demo.scrape import Page, Readings
from afresh.streams.workers import pages

MADE = Counter("test_scrape_made", "What a test counts.", ["kind"])
TEXT = (
    'made_total{kind="a",place="x"} 3\nmade_total{kind="a",place="y"} 4\nmade_total{kind="b",place="x"} 5\n'
)


class Worker:
    """The pages of a process; the test sets whether it is ready."""

    def __init__(self) -> None:
        self.missing = ""
        self.server: WSGIServer = pages.serve("127.0.0.1", 0, lambda: self.missing)
        self.page = Page(self.server.server_port)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    started = Worker()
    yield started
    started.stop()


def test_a_process_is_ready_when_it_says_so(worker: Worker) -> None:
    assert worker.page.ready()
    assert worker.page.not_ready() == ""
    worker.missing = "tables are recovered"
    assert not worker.page.ready()
    assert worker.page.not_ready() == "tables are recovered"


def test_each_read_returns_the_current_metrics(worker: Worker) -> None:
    MADE.labels("one").inc(2)
    assert worker.page.read().total("test_scrape_made_total", kind="one") == 2
    MADE.labels("one").inc()
    assert worker.page.read().total("test_scrape_made_total", kind="one") == 3


def test_a_process_that_does_not_answer_is_not_ready_and_counts_nothing() -> None:
    worker = Worker()
    worker.stop()
    assert worker.page.not_ready().startswith("does not answer (ConnectionRefusedError")
    assert worker.page.read().total("test_scrape_made_total") == 0


def test_values_are_summed_over_the_labels_not_given() -> None:
    readings = Readings(TEXT)
    assert readings.value("made_total", kind="a") == 7
    assert readings.total("made_total", kind="b", place="x") == 5
    assert readings.value("made_total") == 12
    assert readings.value("made_total", kind="c") == readings.value("unknown") == 0
