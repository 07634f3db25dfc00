import threading

from afresh.streams.spans import SpanSender, first_span
from tests.streams.collector import collecting, fields

TRACE = (1 << 127) + 5


def test_all_spans_of_a_trace_stand_below_its_first_whoever_sends_them() -> None:
    with collecting() as collector:
        first, other = SpanSender(collector.url, "shop"), SpanSender(collector.url, "shop")
        first.send(TRACE, "ingest", 1000, 2000, {"partition": 3, "offset": 7}, first=True)
        other.send(TRACE, "profile", 3000, 4000, {}, first=False)
        other.send(TRACE, "list", 5000, 6000, {}, first=False)
        first.close()
        other.close()
        spans = collector.spans()
    assert [span.name for span in spans] == ["ingest", "profile", "list"]
    assert {span.trace_id for span in spans} == {TRACE.to_bytes(16)}
    ingest, *below = spans
    assert (ingest.span_id, ingest.parent_span_id) == (first_span(TRACE).to_bytes(8), b"")
    assert {span.parent_span_id for span in below} == {ingest.span_id}
    assert len({span.span_id for span in spans}) == 3
    assert (ingest.start_time_unix_nano, ingest.end_time_unix_nano) == (1000, 2000)
    assert fields(ingest) == {"partition": 3, "offset": 7}
    (resource, *_) = [each.resource for request in collector.requests for each in request.resource_spans]
    named = {each.key: each.value.string_value for each in resource.attributes}
    assert (named["service.name"], named["service.namespace"]) == ("afresh", "shop")


def test_a_collector_that_is_away_holds_nobody_up_and_takes_no_memory() -> None:
    sender = SpanSender("http://127.0.0.1:1/v1/traces", "shop")
    for number in range(1, 10_000):
        sender.send(number, "ingest", 1000, 2000, {}, first=True)
    (processor,) = sender._provider._active_span_processor._span_processors
    assert len(processor._batch_processor._queue) <= 2048  # type: ignore[attr-defined]
    sender.close()


def test_once_closed_nothing_is_sent_or_complained_of_any_more() -> None:
    before = set(threading.enumerate())
    sender = SpanSender("http://127.0.0.1:1/v1/traces", "shop")
    for number in range(1, 2000):
        sender.send(number, "ingest", 1000, 2000, {}, first=True)
    sender.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_a_trace_whose_lower_half_is_empty_has_a_first_span_too() -> None:
    assert first_span(1 << 64) == 1
