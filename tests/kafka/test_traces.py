"""A worker that sends traces to a real collector: one event gives one trace, from ingest to Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from afresh.streams.settings import Settings
from afresh.streams.traces import Traces
from tests.kafka.deployment import Deployment, deployment, wait
from tests.streams.collector import Collector, collecting, fields

SHARE = 0.5
WAY = ["ingest", "profile", "list", "redis"]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture
def made(settings: Settings, collector: Collector, tmp_path: Path) -> Iterator[Deployment]:
    chosen = {"traces": collector.url, "trace_share": SHARE}
    with deployment(settings.model_copy(update=chosen), tmp_path) as made:
        yield made


def traced(event: str) -> bytes | None:
    """Return the id of an event's trace; None if it is not followed."""
    trace = Traces(None, SHARE).trace_of(event)  # type: ignore[arg-type]
    return None if trace is None else trace.to_bytes(16)


def test_an_event_has_one_trace_from_ingest_to_redis_or_none(made: Deployment, collector: Collector) -> None:
    events: list[str] = []
    with made.running(made.process()):
        # One event for each user, one after the other: each has its own list.
        while {bool(traced(each)) for each in events} != {True, False}:
            events.append(made.event(f"u{len(events)}", "alien"))
            made.answer(f"u{len(events) - 1}", events[-1])
        followed = {trace for each in events if (trace := traced(each)) is not None}

        def spans(trace: bytes) -> list[Span]:
            return [span for span in collector.spans() if span.trace_id == trace]

        wait(lambda: all(len(spans(trace)) == len(WAY) for trace in followed), "all spans")
    assert {span.trace_id for span in collector.spans()} == followed
    for trace in followed:
        ingest, *below = found = spans(trace)
        assert [span.name for span in found] == WAY
        assert {span.parent_span_id for span in below} == {ingest.span_id}
        assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in found)
        assert fields(ingest) == fields(below[0])
        assert fields(ingest).keys() == {"partition", "offset"}
