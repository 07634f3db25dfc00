"""The loop of every stage, tested with a minimal stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from afresh.state.errors import AfreshError
from afresh.state.store.changes import Change
from afresh.streams.kafka.app import create_app
from afresh.streams.kafka.sender import OutgoingRecord
from afresh.streams.kafka.tables import RunTable
from afresh.streams.runs.run import KafkaRecord, Run
from afresh.streams.settings import Settings
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import OwnPart, Stage
from afresh.streams.topics import Topics
from tests.replay.memory import Pipeline
from tests.streams.making import FakeEvent, record, run_of


class SumPart(OwnPart):
    """Adds up numbers; the numbers of a part add up to ``size`` at most."""

    def __init__(self, run: Run, change: Change, shared: Shared, size: int) -> None:
        super().__init__(run, change, shared)
        self._left = size
        self.sum = int(change.get(b"sum") or 0)

    def fits(self, message: KafkaRecord) -> bool:
        self._left -= int(message.value)
        return self._left >= 0

    def take(self, message: KafkaRecord) -> None:
        self.sum += int(message.value)

    def close(self) -> None:
        self.change.put_row(b"sum", b"%d" % self.sum)


class WritingRunner:
    """A runner that only collects what is written."""

    stage = "sum"

    async def write(self, run: Run, outgoing: Any, table: RunTable, change: Change) -> None:
        change.apply(-1)


class Sum(Stage[SumPart]):
    def __init__(self, table: RunTable, size: int) -> None:
        settings = Settings(_env_file=None)
        shared = Shared(settings, Topics(settings), recommender=None)  # type: ignore[arg-type]
        super().__init__(WritingRunner(), table, shared)  # type: ignore[arg-type]
        self.size = size
        self.happened: list[Any] = []

    def begin(self, run: Run, change: Change) -> SumPart:
        return SumPart(run, change, self._shared, self.size)

    async def wait_for_room(self) -> None:
        self.happened.append("room")

    def written(self, part: SumPart) -> None:
        self.happened.append(part.sum)


@pytest.fixture
def table(tmp_path: Path) -> RunTable:
    return table_in(tmp_path)


def table_in(folder: Path) -> RunTable:
    app = create_app(Settings(_env_file=None, data_dir=folder), "test")
    return RunTable(app, name="sums", changelog="test.sums", partitions=1)


def numbers(*values: int, offset: int = 0) -> tuple[Run, FakeEvent]:
    return run_of(*(record(b"%d" % value, offset=offset + place) for place, value in enumerate(values)))


async def test_a_run_is_taken_in_part_by_part_as_there_is_room_and_then_done(table: RunTable) -> None:
    stage = Sum(table, size=5)
    run, event = numbers(2, 3, 1, 4, 5)
    await stage.process(run)
    assert stage.happened == ["room", 5, "room", 10, "room", 15]
    assert (table.rows[0].get(b"sum"), event.acks) == (b"15", 1)


async def test_a_record_too_large_for_any_part_gets_a_part_of_its_own(table: RunTable) -> None:
    stage = Sum(table, size=5)
    await stage.process(numbers(1, 9, 9, 1)[0])
    assert [each for each in stage.happened if each != "room"] == [1, 10, 19, 20]


async def test_a_record_counted_before_is_skipped_and_reported(table: RunTable) -> None:
    def skipped() -> float:
        return REGISTRY.get_sample_value("afresh_already_counted_total", {"stage": "sum"}) or 0.0

    stage, before = Sum(table, size=100), skipped()
    await stage.process(numbers(1, 2)[0])
    await stage.process(numbers(1, 2, 4)[0])
    assert table.rows[0].get(b"sum") == b"7"
    assert skipped() == before + 2


@given(st.lists(st.integers(0, 9), min_size=1), st.integers(0, 12), st.data())
async def test_counts_do_not_depend_on_parts_runs_or_repetitions(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], size: int, data: st.DataObject
) -> None:
    table = table_in(tmp_path_factory.getbasetemp())
    stage, done = Sum(table, size), 0
    while done < len(values):
        start = data.draw(st.integers(0, done))
        end = data.draw(st.integers(done + 1, len(values)))
        await stage.process(numbers(*values[start:end], offset=start)[0])
        done = end
    assert table.rows[0].get(b"sum") == b"%d" % sum(values)


@pytest.mark.parametrize("name", ["interactions", "examples", "items_keyed", "embeddings"])
@pytest.mark.parametrize("value", [b"", b"{}", b"\x91\xc0", None])
async def test_a_record_of_somebody_else_in_a_topic_of_our_own_ends_the_worker_in_a_sentence(
    name: str, value: bytes | None, tmp_path: Path
) -> None:
    """Without the sentence it would be a traceback, again at every start."""
    pipeline = Pipeline(Settings(_env_file=None, partitions=1, data_dir=tmp_path, list_size=5))
    pipeline.item("here")
    pipeline.event()
    await pipeline.drain()
    topic = pipeline.topics.named(name).name
    there = len(pipeline.log.partitions[topic, 0])
    pipeline.log.append(
        topic, 0, OutgoingRecord(b"\x00\x00here" if name == "items_keyed" else b"here", value)
    )
    if (name, value) == ("embeddings", None):
        # What takes an embedding back.
        await pipeline.step(topic, 0, 1)
        return
    with pytest.raises(
        AfreshError, match=rf"the record at offset {there} of {topic}-0 is none of afresh's|layout"
    ):
        await pipeline.step(topic, 0, 1)
