from typing import Any

import pytest
from faust.types import TP

from afresh.streams.kafka.course import Course


def places(*numbers: int) -> list[TP]:
    return [TP(topic, number) for number in numbers for topic in ("t.events", "t.interactions")]


def line(caplog: pytest.LogCaptureFixture) -> tuple[str, Any]:
    """Return the last line, and its record with the fields."""
    return caplog.messages[-1], caplog.records[-1]


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def test_an_assignment_says_which_partitions_are_new_and_which_are_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    course = Course()
    course.assigned(places(0, 1))
    assert line(caplog)[0] == "Partitions assigned: 0, 1; gained: 0, 1; lost: none"
    course.assigned(places(2, 1))
    message, fields = line(caplog)
    assert message == "Partitions assigned: 1, 2; gained: 2; lost: 0"
    assert (fields.partitions, fields.gained, fields.lost) == ([1, 2], [2], [0])
    course.assigned([])
    assert line(caplog)[0] == "Partitions assigned: none; gained: none; lost: 1, 2"


def test_a_recovery_says_how_much_it_read_and_how_long_it_took(caplog: pytest.LogCaptureFixture) -> None:
    Course().recovered(1234, 2.04)
    message, fields = line(caplog)
    assert message == "Recovered 1234 records in 2.0 s"
    assert (fields.records, fields.seconds) == (1234, 2.04)


def test_a_stop_says_whether_everything_taken_in_is_committed(caplog: pytest.LogCaptureFixture) -> None:
    Course().stopped(committed=True)
    Course().stopped(committed=False)
    assert caplog.messages == [
        "Stopped; everything taken in is committed",
        "Stopped; runs that were taken in are not committed, and will be read again",
    ]
