from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.state.store.changes import Change, PerAssignment, partition_row
from afresh.state.store.marks import PARTITION_ROW_KEY, PARTITION_ROW_VERSION, PartitionRow, Reached
from afresh.state.store.rows import MemoryPartitions, MemoryRows, Partitions
from afresh.state.versions import RowVersionError

edits = st.lists(
    st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.none() | st.binary(max_size=3)), max_size=6
)


def edit(change: Change, key: bytes, row: bytes | None) -> None:
    if row is None:
        change.delete_row(key)
    else:
        change.put_row(key, row)


@given(st.lists(edits, max_size=5))
def test_a_change_sees_its_own_edits_and_others_see_them_after_it_is_applied(changes: list[Any]) -> None:
    rows, model = MemoryRows(), dict[bytes, bytes]()
    for each in changes:
        change, before = Change(rows, 1), dict(rows)
        seen = dict(model)
        for key, row in each:
            edit(change, key, row)
            seen[key] = row
            assert change.get(key) == row
        assert rows == before
        change.apply(0)
        model = {key: row for key, row in seen.items() if row is not None}
        assert {key: row for key, row in rows.items() if key != PARTITION_ROW_KEY} == model


@given(st.lists(edits, max_size=5))
def test_the_records_of_all_changes_recover_the_rows(changes: list[Any]) -> None:
    rows, log = MemoryRows(), list[tuple[bytes, bytes | None]]()
    for number, each in enumerate(changes):
        change = Change(rows, 1)
        change.marks.count_offset("events", 7, 0, number)
        for key, row in each:
            edit(change, key, row)
        log += change.records()
        change.apply(0)
    recovered = MemoryRows({key: row for key, row in dict(log).items() if row is not None})
    assert recovered == rows


def test_a_change_that_is_dropped_leaves_nothing() -> None:
    rows = MemoryRows({b"a": b"1"})
    change = Change(rows, 1)
    change.put_row(b"a", b"2")
    change.delete_row(b"a")
    change.marks.count_offset("events", 7, 0, 7)
    change.agent_state = b"weights"
    del change
    assert rows == {b"a": b"1"}
    assert Change(rows, 1).marks.count_offset("events", 7, 0, 7)


def test_the_partition_row_keeps_marks_and_agent_state() -> None:
    rows = MemoryRows()
    change = Change(rows, 2)
    change.marks.count_offset("events", 7, 1, 7)
    change.agent_state = b"weights"
    assert [key for key, _ in change.records()] == [PARTITION_ROW_KEY]
    change.apply(0)
    again = Change(rows, 2)
    assert not again.marks.count_offset("events", 7, 1, 7)
    assert again.marks.count_offset("events", 7, 1, 8)
    assert again.agent_state == b"weights"


def test_the_partition_row_keeps_how_far_the_stage_has_read_its_topics() -> None:
    rows = MemoryRows()
    for last in (Reached(7, 4, 1, 2), Reached(7, 3, 0, 0), Reached(8, 0, 5, 6)):
        change = Change(rows, 1)
        change.reach("events", last)
        change.apply(0)
    row = partition_row(rows)
    assert row is not None
    assert row.reached == {"events": [Reached(7, 4, 1, 2), Reached(8, 0, 5, 6)]}
    assert partition_row(MemoryRows()) is None


def test_a_partition_row_of_0_1_0_rises_with_the_first_change() -> None:
    marks = (7).to_bytes(8, "little")
    rows = MemoryRows({PARTITION_ROW_KEY: msgspec.msgpack.encode([1, {"events": marks}, b"state"])})
    change = Change(rows, 1)
    assert not change.marks.count_offset("events", 9, 0, 7)
    change.apply(0)
    row = partition_row(rows)
    assert row is not None
    assert (row.version, row.marks, row.counted, row.agent_state) == (2, {}, {"events": {9: marks}}, b"state")


def test_a_row_edited_twice_is_written_once() -> None:
    change = Change(MemoryRows(), 1)
    change.put_row(b"a", b"1")
    change.delete_row(b"a")
    change.put_row(b"a", b"2")
    assert change.records()[:-1] == [(b"a", b"2")]


def test_a_partition_row_of_a_newer_version_is_refused_by_name() -> None:
    newer = msgspec.msgpack.encode(PartitionRow(version=PARTITION_ROW_VERSION + 1))
    with pytest.raises(RowVersionError, match=r"partition's row has version 3; this program knows 2"):
        Change(MemoryRows({PARTITION_ROW_KEY: newer}), 1)


def test_fields_appended_to_a_row_of_the_same_version_are_ignored() -> None:
    longer = msgspec.msgpack.encode([PARTITION_ROW_VERSION, {}, b"state", {}, {}, 7, "new"])
    assert Change(MemoryRows({PARTITION_ROW_KEY: longer}), 1).agent_state == b"state"


@dataclass
class Held:
    """Rows of the assigned partitions, without a table of Faust."""

    generation: int = 0
    rows: Partitions = field(default_factory=MemoryPartitions)


def test_values_are_derived_from_rows_once_per_assignment() -> None:
    held, derived_from = Held(), list[int]()

    def derive(partition: int) -> int:
        rows: Any = held.rows[partition]
        derived_from.append(len(rows))
        return len(rows)

    derived = PerAssignment(held, derive)
    assert (derived[0], derived[0], derived[1]) == (0, 0, 0)
    held.rows[0].write([(b"k", b"row")], None)
    assert derived[0] == 0
    held.generation += 1
    assert (derived[0], derived[1], derived[0]) == (1, 0, 1)
    assert derived_from == [0, 0, 1, 0]


def test_values_of_partitions_that_have_left_do_not_stay_in_memory() -> None:
    held = Held()
    derived = PerAssignment(held, str)
    assert [derived[0], derived[1]] == ["0", "1"]
    held.generation += 1
    assert derived[1] == "1"
    assert derived._derived.keys() == {1}
