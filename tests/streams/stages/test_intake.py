"""The intake passes on what strangers write, wherever it stands, and finds what vanished while nobody read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from afresh.state.rows import content, intake
from afresh.streams.kafka.sender import OutgoingRecord, partition_of
from afresh.streams.messages import KeyedRecord, keyed_decoder, keyed_key
from afresh.streams.runs.run import Assignment
from afresh.streams.settings import Settings
from afresh.streams.stages.intake import KAFKAS_TIME, Intake, append_time
from tests.replay.memory import CLOCK, GENERATION, CrashError, Pipeline
from tests.streams.making import record

ITEM = b'{"id":"i1","domain":"films","title":"Babe"}'
DAY_MS = 86_400_000


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, partitions=2, data_dir=tmp_path, list_size=5)


@pytest.fixture
def pipeline(plain: Settings) -> Pipeline:
    return Pipeline(plain)


def put(
    pipeline: Pipeline, value: bytes | None, partition: int = 0, key: bytes = b"i1", topic: str = "items"
) -> None:
    pipeline.log.append(pipeline.topics.named(topic).name, partition, OutgoingRecord(key, value))


def keyed(
    pipeline: Pipeline, topic: str = "items_keyed"
) -> dict[int, list[tuple[bytes | None, KeyedRecord]]]:
    found = pipeline.log.values(pipeline.topics.named(topic).name)
    return {
        partition: [(key, keyed_decoder.decode(value or b"")) for key, value in records]
        for partition, records in found.items()
        if records
    }


def rows(pipeline: Pipeline, partition: int) -> set[bytes]:
    return {key for key in pipeline.rows()["intake"][partition] if key}


async def test_records_of_one_key_meet_in_one_partition_and_name_where_they_stood(pipeline: Pipeline) -> None:
    put(pipeline, ITEM, partition=0)
    put(pipeline, None, partition=1)
    await pipeline.drain()
    (home, found), *others = keyed(pipeline).items()
    assert (home, others) == (partition_of(b"i1", 2), [])
    assert {key for key, _ in found} == {keyed_key(0, b"i1"), keyed_key(1, b"i1")}
    assert {(each.partition, each.offset, each.value) for _, each in found} == {(0, 0, ITEM), (1, 0, None)}


async def test_a_deletion_of_a_key_that_the_partition_does_not_hold_is_passed_on_and_leaves_no_row(
    pipeline: Pipeline,
) -> None:
    put(pipeline, ITEM, partition=0)
    put(pipeline, None, partition=1)
    await pipeline.drain()
    assert (rows(pipeline, 0), rows(pipeline, 1)) == ({b"items/i1"}, set())
    put(pipeline, None, partition=0)
    await pipeline.drain()
    assert rows(pipeline, 0) == set()


async def test_links_are_checked_and_passed_on_into_one_partition(pipeline: Pipeline) -> None:
    for number in range(9):
        put(pipeline, b"person-7", number % 2, b"tv:%d" % number, "identities")
    put(pipeline, b"\xff", 0, b"web:ann", "identities")
    put(pipeline, b"", 0, b"web:bob", "identities")
    await pipeline.drain()
    keyed = pipeline.log.values(pipeline.topics.identities_keyed.name)
    assert {partition: len(records) for partition, records in keyed.items() if records} == {0: 9}
    assert [letter.key for letter in pipeline.letters()] == [b"web:ann", b"web:bob"]


async def test_after_crashes_the_rows_are_those_of_a_run_without(plain: Settings, tmp_path: Path) -> None:
    straight = Pipeline(plain)
    crashing = Pipeline(plain)
    for pipeline in (straight, crashing):
        for number in range(40):
            put(pipeline, ITEM.replace(b"i1", b"i%d" % (number % 7)), number % 2, b"i%d" % (number % 7))
            if number % 5 == 0:
                put(pipeline, None, number % 2, b"i%d" % (number % 3))
    await straight.drain(lambda: 3)
    steps = 0

    def crash(step: str) -> bool:
        nonlocal steps
        steps += step.startswith(("intake", "content"))
        return step.startswith(("intake", "content")) and steps % 4 == 0 and steps < 40

    while True:
        again = Pipeline(plain, crashing.log, crashing.committed, crash)
        try:
            await again.drain(lambda: 3)
        except CrashError:
            continue
        break
    assert steps > 40
    for table in ("intake", "content"):
        own = {p: {k: v for k, v in found.items() if k} for p, found in again.rows()[table].items()}
        assert own == {
            p: {k: v for k, v in found.items() if k} for p, found in straight.rows()[table].items()
        }


def stopped(pipeline: Pipeline, *kept: bytes, tombstones_ms: int) -> Pipeline:
    """Compact the items to some keys while no worker runs, and start again."""
    items = pipeline.topics.items.name
    for partition in range(2):
        records = pipeline.log.partitions[items, partition]
        records[:] = [each for each in records if each.key in kept]
    # Compaction never removes the last record of a partition.
    put(pipeline, ITEM.replace(b"i1", b"last"), key=b"last")
    records = pipeline.log.partitions[items, 0]
    records[-1] = replace(records[-1], offset=100)
    again = Pipeline(pipeline.settings, pipeline.log)
    again.inputs.kept_ms = tombstones_ms
    return again


async def filled(pipeline: Pipeline) -> None:
    for number in range(1, 6):
        put(pipeline, ITEM.replace(b"i1", b"i%d" % number), key=b"i%d" % number)
    await pipeline.drain()


async def test_kafka_is_asked_once_an_assignment_how_long_an_input_keeps_tombstones(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for each partition, it would hold back the first runs of a worker with many."""
    await pipeline.drain()
    again = Pipeline(pipeline.settings, pipeline.log)
    asked: list[str] = []

    async def tombstones_ms(topic: str) -> int:
        asked.append(topic)
        return 30 * DAY_MS

    monkeypatch.setattr(again.inputs, "tombstones_ms", tombstones_ms)
    await again.settle()
    once = [pipeline.topics.items.name, pipeline.topics.identities.name]
    assert asked == once
    stage = again.stages["intake"]
    assert isinstance(stage, Intake)
    for partition in range(2):
        await stage.settle(Assignment(partition, GENERATION + 1))
    assert asked == once * 2


async def test_what_vanished_during_a_long_stop_is_deleted_without_waiting_for_a_record(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(pipeline)
    monkeypatch.setattr("tests.replay.memory.CLOCK", CLOCK + 16 * 86_400)
    again = stopped(pipeline, b"i1", b"i3", tombstones_ms=30 * DAY_MS)
    await again.settle()
    assert rows(again, 0) == {b"items/i1", b"items/i3"}
    gone = {key: each for found in keyed(again).values() for key, each in found if each.inferred}
    assert gone.keys() == {keyed_key(0, name) for name in (b"i2", b"i4", b"i5")}
    await again.drain()
    available = {
        name for name, there in zip(again.catalogue.ids, again.catalogue.available, strict=True) if there
    }
    assert available == {"i1", "i3", "last"}
    count = sum(map(len, keyed(again).values()))
    more = Pipeline(again.settings, again.log)
    more.inputs.kept_ms = 30 * DAY_MS
    await more.settle()
    assert sum(map(len, keyed(more).values())) == count, "compared once"


async def test_after_a_short_stop_nothing_is_compared(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(pipeline)
    monkeypatch.setattr("tests.replay.memory.CLOCK", CLOCK + 14 * 86_400)
    again = stopped(pipeline, b"i1", tombstones_ms=30 * DAY_MS)
    await again.settle()
    assert rows(again, 0) == {b"items/i%d" % number for number in range(1, 6)}


async def test_a_later_record_through_another_partition_outlives_what_vanished(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(pipeline)
    monkeypatch.setattr("tests.replay.memory.CLOCK", CLOCK + 20 * 86_400)
    put(pipeline, ITEM.replace(b"Babe", b"Babe 2"), partition=1)
    again = stopped(pipeline, b"i3", tombstones_ms=30 * DAY_MS)
    put(again, ITEM.replace(b"Babe", b"Babe 2"), partition=1)
    await again.drain()
    packed = again.rows()["content"][partition_of(b"i1", 2)][b"i1"]
    assert content.unpack(packed).title == "Babe 2"


async def test_what_0_1_0_has_read_and_committed_is_taken_in_once(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    for number in range(1, 6):
        put(pipeline, ITEM.replace(b"i1", b"i%d" % number), key=b"i%d" % number)
    put(pipeline, b"refused", key=b"i2")
    put(pipeline, ITEM.replace(b"Babe", b"Babe 2"))
    committed = {(pipeline.topics.items.name, 0): 7}
    steps = 0

    def crash(step: str) -> bool:
        nonlocal steps
        steps += step.startswith("intake")
        return steps == 1

    with pytest.raises(CrashError):
        await Pipeline(plain, pipeline.log, dict(committed), crash).drain()
    upgraded = Pipeline(plain, pipeline.log, dict(committed))
    await upgraded.drain()
    assert rows(upgraded, 0) == {b"items/i%d" % number for number in range(1, 6)}
    assert upgraded.catalogue.available.sum() == 5
    packed = upgraded.rows()["content"][partition_of(b"i1", 2)][b"i1"]
    assert content.unpack(packed).title == "Babe 2"
    texts = upgraded.log.values(upgraded.topics.texts.name).values()
    assert sum(map(len, texts)) == 5, "nothing is encoded that was replaced since"
    assert upgraded.letters() == []
    count = sum(map(len, keyed(upgraded).values()))
    await Pipeline(plain, upgraded.log, upgraded.committed).drain()
    assert sum(map(len, keyed(upgraded).values())) == count


def test_a_time_that_a_producer_chose_is_before_every_time_of_kafka() -> None:
    ahead = record(b"", timestamp=4_000_000_000_000)
    ours = replace(record(b"", timestamp=1), timestamp_type=KAFKAS_TIME)
    assert append_time(ahead) < append_time(ours) == 1
    assert append_time(ahead) > append_time(record(b"", timestamp=3_000_000_000_000))


async def test_the_time_of_a_partition_never_falls(pipeline: Pipeline) -> None:
    """The clock of the broker that takes a partition over may be behind."""
    put(pipeline, ITEM)
    put(pipeline, ITEM.replace(b"Babe", b"Babe 2"))
    records = pipeline.log.partitions[pipeline.topics.items.name, 0]
    records[1] = replace(records[1], timestamp=records[1].timestamp - 5000)
    await pipeline.drain()
    (found,) = keyed(pipeline).values()
    assert found[0][1].moment < found[1][1].moment
    packed = pipeline.rows()["content"][partition_of(b"i1", 2)][b"i1"]
    assert content.unpack(packed).title == "Babe 2"
    state = intake.unpack_state(pipeline.tables["intake"].change(0).agent_state)
    assert state.of("items").time == append_time(records[0])
