from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from afresh.deploy.settings_table import variable
from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings
from afresh.streams.workers import pages
from tests.streams.making import read_page


@dataclass
class Pages:
    port: int = 0
    missing: str = ""

    def get(self, path: str) -> tuple[int, str]:
        return read_page(self.port, path)


@pytest.fixture
def served() -> Iterator[Pages]:
    found = Pages()
    server = pages.serve("127.0.0.1", 0, lambda: found.missing)
    found.port = server.server_port
    yield found
    server.shutdown()
    server.server_close()


def test_a_process_that_is_not_ready_is_alive(served: Pages) -> None:
    served.missing = "tables not recovered"
    assert served.get("/health") == (200, "alive\n")


def test_a_process_that_is_not_ready_says_what_is_missing(served: Pages) -> None:
    served.missing = "Redis does not answer"
    assert served.get("/ready") == (503, "Redis does not answer\n")
    served.missing = ""
    assert served.get("/ready") == (200, "ready\n")


def test_prometheus_finds_our_metrics(served: Pages) -> None:
    status, text = served.get("/metrics")
    assert status == 200
    assert "# TYPE afresh_events_total counter" in text


def test_the_error_names_a_taken_port_and_the_variables_that_change_it(served: Pages) -> None:
    variables = [variable(name) for name in Settings.model_fields if name.endswith("metrics_port")]
    with pytest.raises(AfreshError, match=rf"127\.0\.0\.1:{served.port} ") as raised:
        pages.serve("127.0.0.1", served.port, lambda: "")
    assert len(variables) == 4
    assert all(each in str(raised.value) for each in variables)


def test_the_error_names_an_address_that_is_not_ours() -> None:
    with pytest.raises(AfreshError, match=r"192\.0\.2\.1"):
        pages.serve("192.0.2.1", 0, lambda: "")
