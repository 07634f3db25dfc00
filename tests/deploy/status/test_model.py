from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition

from afresh.deploy.status.model import TAILS, Version, newest_version
from afresh.state.model.told import Message, Numbered, Revised, Told, Whole
from afresh.state.store.marks import CLAIM_KEY
from afresh.streams.modelling.records import LED, record_of

PLACE = TopicPartition("afresh.model", 0)

Records = list[tuple[bytes | None, bytes | None]]


class ToldRecords:
    """Stands in for a consumer of the topic of the model; remembers the offsets that it read.

    Parameters
    ----------
    records
        Key and value of each record.
    """

    def __init__(self, records: Records) -> None:
        self.read: list[int] = []
        self._records = [
            SimpleNamespace(offset=offset, key=key, value=value)
            for offset, (key, value) in enumerate(records)
        ]
        self._at = 0

    def assign(self, partitions: list[TopicPartition]) -> None:
        assert partitions == [PLACE]

    def seek(self, _: TopicPartition, offset: int) -> None:
        self._at = offset

    def position(self, _: TopicPartition) -> int:
        return self._at

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        found = self._records[self._at : self._at + 1]
        self.read.append(self._at)
        self._at += 1
        return {PLACE: found}


def records(*messages: Message, slot: int = 0) -> Records:
    made = [record_of(message, slot) for message in messages]
    return [(each.key, each.value) for each in made]


def version(number: int, items: int = 2) -> Records:
    """Return the records of a whole version."""
    rows = [Told(number, place, bytes(1600)) for place in range(items)]
    return records(Numbered(number, 0, bytes(8 * items)), *rows, Whole(number, 0, items, b""))


def revision(number: int, first: int = 2, came: int = 0) -> Records:
    return records(Revised(number, 0, first, bytes(8 * came), b"", b"", b""))


def told_next(number: int, items: int) -> Records:
    """Return the records of a version that is still being told."""
    return version(number, items)[:-1]


CLAIM: Records = [(CLAIM_KEY, None), (LED, b"0f")]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([], Version(0, 0)),
        (CLAIM, Version(0, 0)),
        (told_next(7, 3), Version(0, 0)),
        (version(7), Version(7, 2)),
        (version(7) + version(8, 3), Version(8, 3)),
        (version(7) + CLAIM, Version(7, 2)),
        (version(7) + revision(7) + revision(7, first=2, came=3), Version(7, 5)),
        (version(7) + revision(7) + told_next(8, 3), Version(7, 2)),
        (version(7) + told_next(8, TAILS[1] + 1), Version(7, 2)),
        (version(7) + told_next(8, TAILS[-1]), Version(None, 0)),
        ([*version(7), (b"whole", b"of another program")], Version(7, 2)),
    ],
    ids=[
        "nothing",
        "a claim",
        "the first, not whole yet",
        "whole",
        "two",
        "a new leader",
        "revised",
        "revised, and the next",
        "the next",
        "a large next one",
        "another program",
    ],
)
def test_the_version_that_stands_is_the_one_that_was_ended_or_revised_last(
    told: Records, found: Version
) -> None:
    assert newest(told)[0] == found


def newest(told: Records) -> tuple[Version, list[int]]:
    """Return the version that stands, and the offsets that were read to find it."""
    consumer: Any = ToldRecords(told)
    return newest_version(consumer, PLACE, 0, len(told)), consumer.read


def test_no_record_is_read_twice_and_not_many_are_read_of_a_large_model() -> None:
    told = version(7) + told_next(8, 1000)
    _, read = newest(told)
    assert sorted(read) == list(range(len(told) - TAILS[-1], len(told)))
