"""The audit names what the intake did not pass on, and what it passed on without reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replaced

from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.kafka.sender import OutgoingRecord, partition_of
from afresh.streams.messages import encode, keyed_decoder
from tests.deploy.ledger.making import judged, settings_of
from tests.replay.memory import Pipeline

ITEM = b'{"id":"i1","domain":"films","title":"Babe"}'


@pytest.fixture
async def pipeline(tmp_path: Path) -> Pipeline:
    """Items and links in the partitions that a stranger chose, some deleted, one refused."""
    made = Pipeline(settings_of(tmp_path))
    for number in range(9):
        name = f"i{number}".encode()
        put(made, name, ITEM.replace(b"i1", name), number % 2)
        if number % 3 == 0:
            put(made, name, None, number % 2 ^ number % 4 // 2)
    put(made, b"i1", b"no item", 0)
    made.log.append(made.topics.identities.name, 1, OutgoingRecord(b"tv:1", b"person-7"))
    await made.drain()
    return made


def put(made: Pipeline, key: bytes, value: bytes | None, partition: int) -> None:
    made.log.append(made.topics.items.name, partition, OutgoingRecord(key, value))


async def test_records_in_any_partition_that_were_passed_on_are_no_difference(pipeline: Pipeline) -> None:
    report = judged(pipeline)
    assert report.differences == []
    assert report.tallies["intake"].equal == 9
    assert report.tallies["content"].equal == 9


async def test_a_newest_record_that_was_not_passed_on_is_named(pipeline: Pipeline) -> None:
    put(pipeline, b"i4", ITEM.replace(b"i1", b"i4"), 0)
    offset = pipeline.log.partitions[pipeline.topics.items.name, 0][-1].offset
    (said, row) = judged(pipeline).differences
    assert said == f"afresh.items: the record of 'i4' at 0@{offset} was not passed on"
    assert "intake: the row of key 'items/i4' is wrong: offset" in row


async def test_what_vanished_and_was_not_deleted_is_named(pipeline: Pipeline) -> None:
    records = pipeline.log.partitions[pipeline.topics.items.name, 1]
    records[:] = [each for each in records if each.key != b"i5"]
    said = judged(pipeline).differences
    assert "afresh.items: 'i5' has vanished from partition 1, and was not deleted" in said


async def test_a_keyed_record_that_is_changed_or_elsewhere_is_named(pipeline: Pipeline) -> None:
    home = partition_of(b"i4", 2)
    records = pipeline.log.partitions[pipeline.topics.items_keyed.name, home]
    place = next(n for n, each in enumerate(records) if each.key == b"\0\0i4")
    other = replaced(
        keyed_decoder.decode(records[place].value), value=ITEM.replace(b"i1", b"i4").replace(b"Babe", b"")
    )
    before = records[place]
    records[place] = replace(before, value=encode(other))
    assert any("record of 'i4' at 0@" in each for each in judged(pipeline).differences)
    records[place] = before
    pipeline.log.append(pipeline.topics.items_keyed.name, 1 - home, OutgoingRecord(before.key, before.value))
    assert any(
        f"'i4' is in partition {1 - home}, not that of its key" in each
        for each in judged(pipeline).differences
    )


async def test_a_row_of_the_intake_that_is_missing_is_named(pipeline: Pipeline) -> None:
    key = next(each for each in pipeline.rows()["intake"][0] if each != PARTITION_ROW_KEY)
    pipeline.log.append(pipeline.topics.intake.name, 0, OutgoingRecord(key, None))
    assert judged(pipeline).differences == [f"intake: the row of key {key.decode()!r} is missing"]
