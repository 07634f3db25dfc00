import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from xxhash import xxh3_128_hexdigest

from afresh.deploy.servers.kafka import REPOSITORY
from afresh.streams.settings import Settings
from afresh.streams.traces import INGEST, PROFILE, Traces, open_traces
from tests.without import environment


class Sent:
    """Keeps spans instead of sending them."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, str, int, int, dict[str, str | int], bool]] = []

    def send(self, trace: int, name: str, began: int, ended: int, fields: Any, *, first: bool) -> None:
        self.spans.append((trace, name, began, ended, fields, first))

    def close(self) -> None: ...


def traces(sent: Sent, share: float) -> Traces:
    return Traces(sent, share)  # type: ignore[arg-type]


def test_the_hash_of_an_event_decides_whether_it_is_followed() -> None:
    events = [f"event-{number}" for number in range(2000)]
    few, more = (
        {each for each in events if traces(Sent(), share).trace_of(each) is not None} for share in (0.1, 0.5)
    )
    assert few < more
    assert 120 < len(few) < 280
    assert not any(traces(Sent(), 0.0).trace_of(each) for each in events)
    assert all(traces(Sent(), 1.0).trace_of(each) for each in events)


def test_the_trace_of_an_event_is_the_same_everywhere_and_of_no_other_event() -> None:
    one, other = traces(Sent(), 1.0), traces(Sent(), 1.0)
    assert one.trace_of("e-1") == other.trace_of("e-1") != one.trace_of("e-2")
    # OPERATING.md says how to find it.
    assert f"{one.trace_of('e-1'):032x}" == xxh3_128_hexdigest("e-1")
    assert one.trace_of("\ud800") is not None


def test_the_spans_of_a_part_last_until_it_is_written_and_only_ingest_begins_a_trace() -> None:
    sent, before = Sent(), time.time_ns()
    made = traces(sent, 1.0)
    for name in (INGEST, PROFILE):
        part = made.followed(name)
        part.note("e-1", 3, 7)
        assert len(sent.spans) == (name == PROFILE)
        part.written()
    assert [(span[0], span[1], span[4], span[5]) for span in sent.spans] == [
        (made.trace_of("e-1"), "ingest", {"partition": 3, "offset": 7}, True),
        (made.trace_of("e-1"), "profile", {"partition": 3, "offset": 7}, False),
    ]
    assert before <= sent.spans[0][2] <= sent.spans[0][3] <= sent.spans[1][2] <= sent.spans[1][3]


def test_a_list_has_two_spans_one_after_the_other() -> None:
    sent = Sent()
    traces(sent, 1.0).listed(["e-1"], 100, 200)
    made, pushed = sent.spans
    assert made[1:] == ("list", 100, 200, {}, False)
    assert pushed[1:3] == ("redis", 200)
    assert pushed[3] > 200


def test_an_event_that_is_not_followed_has_no_span() -> None:
    sent = Sent()
    made = traces(sent, 0.0)
    part = made.followed(INGEST)
    part.note("e-1", 3, 7)
    part.written()
    made.listed(["e-1"], 100, 200)
    assert sent.spans == []


def test_without_an_address_nothing_is_followed_and_the_extra_is_not_needed(tmp_path: Path) -> None:
    code = (
        "import sys; from afresh.streams.workers.stream import Settings, open_traces;"
        "assert open_traces(Settings(_env_file=None)) is None;"
        "assert 'afresh.streams.spans' not in sys.modules"
    )
    variables = environment(tmp_path, REPOSITORY / ".src", ["opentelemetry"])
    subprocess.run([sys.executable, "-c", code], env=variables, cwd=tmp_path, check=True)


def test_a_worker_asks_for_the_extra_in_a_sentence(tmp_path: Path) -> None:
    variables = environment(tmp_path, REPOSITORY / ".src", ["opentelemetry"])
    done = subprocess.run(
        [sys.executable, "-m", "afresh.deploy.cli", "worker"],
        env=variables | {"AFRESH_TRACES": "http://127.0.0.1:1/v1/traces"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        2,
        "afresh: AFRESH_TRACES needs a package that is not there (opentelemetry); install afresh[traces], or leave "
        "AFRESH_TRACES empty\n",
    )


def test_the_address_must_be_one_of_http() -> None:
    with pytest.raises(ValidationError, match="must begin with http:// or https://"):
        Settings(_env_file=None, traces="127.0.0.1:4317")
    assert open_traces(Settings(_env_file=None, traces="")) is None
