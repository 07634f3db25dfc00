from pathlib import Path
from typing import Any

import msgspec
import pytest
from faust.types import TP

from afresh.state.errors import AfreshError
from afresh.state.store.changes import Change, partition_row
from afresh.state.store.marks import PARTITION_ROW_KEY, Reached, reached_with
from afresh.streams.kafka import positions
from afresh.streams.kafka.app import create_app
from afresh.streams.kafka.incarnations import Incarnations
from afresh.streams.kafka.positions import Positions, Read, looked, range_of
from afresh.streams.kafka.starts import Bounds, Committed, Looked, SourcePartition, Start
from afresh.streams.kafka.tables import RunTable
from afresh.streams.settings import Settings
from tests.streams.making import record

EVENTS, TEXTS, ROWS = TP("test.events", 1), TP("test.texts", 0), TP("test.rows.changelog", 1)
LAST = record(b"last", offset=29, timestamp=100)


class FakeConsumer:
    """A consumer that knows logs and committed offsets."""

    def __init__(self, bounds: dict[TP, tuple[int, int]], committed: dict[TP, Committed]) -> None:
        self.bounds = bounds
        self.offsets = committed

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return {tp: self.bounds[tp][0] for tp in tps}

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return {tp: self.bounds[tp][1] for tp in tps}

    async def committed(self, tps: list[TP]) -> dict[TP, Committed | None]:
        return {tp: self.offsets.get(tp) for tp in tps}


class FakeWatch:
    """Kafka's ids, as they are now."""

    def __init__(self, met: Incarnations, now: dict[str, int]) -> None:
        self.met, self.now = met, now

    async def ask(self) -> None:
        self.met.learn(self.now)


@pytest.fixture
def table(tmp_path: Path) -> RunTable:
    app = create_app(Settings(_env_file=None, data_dir=tmp_path), "test")
    return RunTable(app, name="rows", changelog=ROWS.topic, partitions=2)


async def starts(
    table: RunTable,
    monkeypatch: pytest.MonkeyPatch,
    bounds: tuple[int, int] = (0, 40),
    committed: Committed | None = None,
    changelog_begin: int = 0,
    log: tuple[Any, ...] = (LAST,),
) -> dict[TP, Start]:
    met = Incarnations()

    async def write(table: RunTable, partition: int, change: Change) -> None:
        change.apply(0)

    watch: Any = FakeWatch(met, {EVENTS.topic: 7, TEXTS.topic: 8, "test.other": 9})
    found = Positions(
        Settings(_env_file=None),
        "test",
        {EVENTS.topic: Read(table), TEXTS.topic: Read(None)},
        met,
        watch,
        write,
    )
    consumer: Any = FakeConsumer(
        {EVENTS: bounds, TEXTS: (0, 9), ROWS: (changelog_begin, 5)},
        {TEXTS: Committed(5, 3)} | ({EVENTS: committed} if committed else {}),
    )

    async def peek(_: Settings, ranges: dict[TP, range]) -> Any:
        return {tp: [each for each in log if each.offset in wanted] for tp, wanted in ranges.items()}

    monkeypatch.setattr(positions, "peek", peek)
    return await found.starts(consumer, [EVENTS, TEXTS, ROWS])


def take_in(table: RunTable, last: Reached) -> None:
    change = Change(table.rows[1], 2)
    change.reach(EVENTS.topic, last)
    change.apply(0)


async def test_only_what_does_not_go_on_as_usual_has_a_start(
    table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The texts were made again, and are read by a stage without rows."""
    take_in(table, reached_with(LAST, 7))
    assert await starts(table, monkeypatch, committed=Committed(30, 7)) == {TEXTS: Start(5, 0)}


async def test_a_source_that_was_made_again_starts_at_its_beginning(
    table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(table, reached_with(LAST, 6))
    found = await starts(table, monkeypatch, committed=Committed(30, 0))
    assert found[EVENTS] == Start(30, 0)


async def test_a_source_that_was_replaced_is_refused(
    table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(table, reached_with(LAST, 7))
    other = record(b"other", offset=29, timestamp=100)
    with pytest.raises(AfreshError, match="has another record"):
        await starts(table, monkeypatch, committed=Committed(30, 7), log=(other,))


async def test_a_table_without_rows_of_what_was_committed_is_refused(
    table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AfreshError, match="rows were lost"):
        await starts(table, monkeypatch, committed=Committed(30, 7))


async def test_a_changelog_that_has_lost_its_beginning_is_refused(
    table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(table, reached_with(LAST, 7))
    with pytest.raises(AfreshError, match=r"the first 3 records of test.rows.changelog-1 were deleted"):
        await starts(table, monkeypatch, committed=Committed(30, 7), changelog_begin=3)


async def test_marks_of_0_1_0_tell_that_a_log_was_cut_short(
    table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = (-1).to_bytes(8, "little", signed=True) + (29).to_bytes(8, "little")
    row = msgspec.msgpack.encode([1, {EVENTS.topic: marks}, b""])
    table.rows[1].write([(PARTITION_ROW_KEY, row)], None)
    assert EVENTS not in await starts(table, monkeypatch, committed=Committed(30, 0))
    with pytest.raises(AfreshError, match="ends at offset 29"):
        await starts(table, monkeypatch, bounds=(0, 29), committed=Committed(30, 0))


async def test_a_partition_row_of_0_1_0_learns_the_incarnations_before_the_sources_are_read(
    table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of a user do not change until the user does something; the topic may be made again before."""
    marks = (4).to_bytes(8, "little") * 2
    row = msgspec.msgpack.encode([1, {"test.other": marks}, b"state"])
    table.rows[1].write([(PARTITION_ROW_KEY, row)], None)
    assert EVENTS not in await starts(table, monkeypatch, committed=Committed(30, 0))
    risen = partition_row(table.rows[1])
    assert risen is not None
    assert (risen.version, risen.agent_state) == (2, b"state")
    assert risen.reached == {EVENTS.topic: [reached_with(LAST, 7)]}
    assert risen.all_marks() == {"test.other": {9: marks}}


def test_only_the_position_is_looked_at_and_what_was_committed_behind_it() -> None:
    normal = SourcePartition(EVENTS, Bounds(7, 0, 40), Committed(30, 7), "g", "t", Reached(7, 29, 0, 0))
    assert range_of(normal) == range(29, 30)
    beyond = SourcePartition(EVENTS, Bounds(7, 0, 40), Committed(50, 7), "g", "t", Reached(7, 29, 0, 0))
    assert range_of(beyond) == range(29, 40)
    cut = SourcePartition(EVENTS, Bounds(7, 35, 40), Committed(30, 7), "g", "t", Reached(7, 29, 0, 0))
    assert not range_of(cut)
    empty = SourcePartition(EVENTS, Bounds(7, 3, 40), Committed(30, 7), "g", "t", empty=True)
    assert range_of(empty) == range(3, 30)
    assert not range_of(SourcePartition(EVENTS, Bounds(7, 0, 40), Committed(30, 7), "g"))
    assert not range_of(SourcePartition(EVENTS, Bounds(8, 0, 40), Committed(30, 7), "g"))


def test_what_was_found_is_the_record_at_the_position_and_the_first_one_behind_it() -> None:
    source = SourcePartition(EVENTS, Bounds(7, 0, 40), Committed(35, 7), "g", "t", Reached(7, 29, 0, 0))
    behind = record(b"behind", offset=33)
    assert looked(source, {EVENTS: [LAST, behind]}) == Looked(reached_with(LAST, 0), 33)
    assert looked(source, {EVENTS: [behind]}) == Looked(None, 33)
    assert looked(source, {}) == Looked()
