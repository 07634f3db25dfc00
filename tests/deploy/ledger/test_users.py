"""The audit compares rows and examples that an earlier version wrote by what the versions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace as replaced

from afresh.deploy.ledger.comparing import struct_fields
from afresh.state.records import EXAMPLE_VERSION, Example
from afresh.state.rows import users
from afresh.state.rows.users import UserRow
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.kafka.sender import OutgoingRecord
from afresh.streams.messages import encode, example_decoder
from tests.deploy.ledger.making import judged, lists_of, played, settings_of
from tests.replay.memory import Pipeline


@pytest.fixture
async def pipeline(tmp_path: Path) -> Pipeline:
    return await played(settings_of(tmp_path), events=120)


def change_rows(pipeline: Pipeline, change: Callable[[UserRow], UserRow | None]) -> None:
    """Change the newest rows of users, each in a record of its own."""
    topic = pipeline.topics.users
    for partition in range(topic.partitions):
        records = pipeline.log.partitions[topic.name, partition]
        for key, packed in {each.key: each.value for each in records}.items():
            changed = None if key == PARTITION_ROW_KEY else change(users.unpack(packed))
            if changed is not None:
                pipeline.log.append(topic.name, partition, OutgoingRecord(key, users.pack(changed)))


def as_0_1_0(row: UserRow) -> UserRow:
    """Return a row as it is after a worker of 0.1.0 began it: details unknown, refusals never lifted, as it arrived."""
    packed = msgspec.msgpack.encode([2, *list(struct_fields(row).values())[1:15]])
    earlier = users.unpack(packed)
    assert earlier.began == 2
    earlier.refused = b"kept" + earlier.refused
    earlier.items, earlier.times = (
        earlier.items[8:] + earlier.items[:8],
        earlier.times[4:] + earlier.times[:4],
    )
    return earlier


def old(example: Example) -> Example:
    return Example(*(getattr(example, name) for name in example.__struct_fields__[:8]))


def change_examples(pipeline: Pipeline, change: Callable[[Example], Example]) -> None:
    topic = pipeline.topics.examples
    for partition in range(topic.partitions):
        records = pipeline.log.partitions[topic.name, partition]
        records[:] = [
            replace(each, value=encode(change(example_decoder.decode(each.value)))) for each in records
        ]


async def test_rows_and_examples_that_0_1_0_began_are_no_difference(pipeline: Pipeline) -> None:
    served = lists_of(pipeline)
    change_rows(pipeline, as_0_1_0)
    change_examples(pipeline, old)
    report = judged(pipeline, served)
    assert {each.split(":")[0] for each in report.differences} <= {"lists"}, report.differences
    assert report.tallies["users"].equal == report.tallies["users"].expected > 0


async def test_what_the_versions_share_is_compared_strictly(pipeline: Pipeline) -> None:
    def wrong(row: UserRow) -> UserRow:
        earlier = as_0_1_0(row)
        earlier.taken += 1
        return earlier

    change_rows(pipeline, wrong)
    change_examples(pipeline, lambda example: replaced(old(example), taken=example.taken + 1))
    differences = judged(pipeline).differences
    (first, *_) = [each for each in differences if each.startswith("users")]
    assert "is wrong: taken " in first
    assert "details" not in first
    assert any("does not hold the state of user" in each for each in differences)


@pytest.mark.parametrize(
    ("field", "value"), [("details", b""), ("platforms", ("x",)), ("refused", b"1234" * 100)]
)
async def test_rows_begun_at_this_version_are_compared_bit_by_bit(
    pipeline: Pipeline, field: str, value: object
) -> None:
    def wrong(row: UserRow) -> UserRow:
        setattr(row, field, value)
        return row

    served = lists_of(pipeline)
    change_rows(pipeline, wrong)
    assert any(f"is wrong: {field} " in each for each in judged(pipeline, served).differences)


async def test_an_example_begun_at_this_version_is_compared_whole(pipeline: Pipeline) -> None:
    change_examples(pipeline, lambda example: replaced(example, platform="x"))
    assert any("does not hold the state of user" in each for each in judged(pipeline).differences)


@pytest.mark.parametrize(("newest", "told"), [(0, False), (1, True)])
async def test_an_example_that_two_versions_sent_is_no_difference_unless_they_disagree(
    pipeline: Pipeline, newest: int, told: bool
) -> None:
    """0.1.0 sent an example and died before it wrote the row; this version sent it again."""
    topic = pipeline.topics.examples.name
    records = pipeline.log.partitions[topic, 0]
    example = example_decoder.decode(records[3].value)
    pipeline.log.append(topic, 0, OutgoingRecord(records[3].key, records[3].value))
    records[3] = replace(records[3], value=encode(replaced(old(example), taken=example.taken + newest)))
    found = any("came again with other content" in each for each in judged(pipeline).differences)
    assert found == told


async def test_an_example_of_a_newer_version_is_named(pipeline: Pipeline) -> None:
    change_examples(pipeline, lambda example: replaced(example, version=EXAMPLE_VERSION + 1))
    assert any("has version 3; this program knows 2" in each for each in judged(pipeline).differences)
