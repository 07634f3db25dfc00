from __future__ import annotations

from afresh.deploy.ledger.events import name_of
from afresh.deploy.ledger.lines import check_lines
from afresh.deploy.ledger.report import LineTally, Report
from tests.streams.making import event_json

BROKEN = b'{"id": "broken"'


def checked(*lines: bytes, **outcomes: str) -> Report:
    report = Report()
    check_lines(lines, outcomes | {name_of(BROKEN): "refused"}, report)
    return report


def test_every_line_is_counted_by_what_became_of_it() -> None:
    lines = [event_json(id="a"), event_json(id="b"), event_json(id="a"), event_json(id="early"), BROKEN]
    report = checked(*lines, a="counted", b="counted", early="refused")
    assert report.file == LineTally(total=5, counted=2, duplicates=1, refused=2)
    assert report.differences == []


def test_lines_that_are_not_in_kafka_are_named() -> None:
    report = checked(event_json(id="a"), event_json(id="b"), b"\x1b[31m no event", a="counted")
    assert report.file == LineTally(total=3, counted=1, missing=2)
    assert report.differences == [
        "file: the event 'b' (number 2) is not in Kafka",
        r"file: the event that begins with b'\x1b[31m no event' (number 3) is not in Kafka",
    ]
