from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from afresh.state.store.changes import PerAssignment
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.state.store.rows import Position
from afresh.streams.kafka.app import create_app
from afresh.streams.kafka.tables import RunTable
from afresh.streams.settings import Settings

CHANGELOG = "test.rows.changelog"


@pytest.fixture
def table(tmp_path: Path) -> RunTable:
    app = create_app(Settings(_env_file=None, data_dir=tmp_path), "test")
    return RunTable(app, name="rows", changelog=CHANGELOG, partitions=4)


def rows_of(table: RunTable) -> dict[int, dict[bytes, bytes]]:
    held = {partition: dict(table.rows[partition].items()) for partition in range(4)}
    return {partition: rows for partition, rows in held.items() if rows}


def changelog_run(partition: int, *records: tuple[bytes, bytes | None], first: int = 0) -> Any:
    run = [
        SimpleNamespace(key=key, value=row, offset=offset, timestamp=1000 + offset)
        for offset, (key, row) in enumerate(records, first)
    ]
    return SimpleNamespace(message=SimpleNamespace(partition=partition, value=run))


def test_runs_of_the_changelog_are_applied_in_order_to_their_partition(table: RunTable) -> None:
    table.apply_changelog_batch(
        [
            changelog_run(1, (b"a", b"1"), (b"b", b"1"), (b"a", b"2")),
            changelog_run(2, (b"a", b"9")),
            changelog_run(1, (b"b", None), (b"never there", None), first=3),
        ]
    )
    assert rows_of(table) == {1: {b"a": b"2"}, 2: {b"a": b"9"}}


def test_partition_rows_are_not_counted_as_rows(table: RunTable) -> None:
    table.apply_changelog_batch(
        [changelog_run(1, (b"a", b"1"), (PARTITION_ROW_KEY, b"")), changelog_run(2, (b"b", b"1"))]
    )
    assert table.count_rows() == 2


async def test_a_rebalance_drops_the_rows_of_partitions_that_left_or_are_new(table: RunTable) -> None:
    for partition in range(4):
        table.rows[partition].write([(b"a", b"1")], Position(7, 0))
    stays, comes = TP(CHANGELOG, 0), TP(CHANGELOG, 1)
    assigned = {stays, comes, TP("test.events", 2)}
    await table.on_rebalance(assigned, revoked={TP(CHANGELOG, 3)}, newly_assigned={comes})
    assert rows_of(table) == {0: {b"a": b"1"}}
    offsets = [table.persisted_offset(TP(CHANGELOG, partition)) for partition in range(4)]
    assert offsets == [7, None, None, None]


async def test_every_rebalance_raises_the_generation(table: RunTable) -> None:
    await table.on_rebalance(set(), set(), set())
    await table.on_rebalance(set(), set(), set())
    assert table.generation == 2


async def test_a_table_starts_without_a_store_of_fausts(table: RunTable) -> None:
    """The changelog is not declared either; for that, Faust would ask Kafka."""
    await table.maybe_start()
    assert table.started
    assert table._data is None
    await table.stop()


async def test_a_standby_is_recovered_before_it_becomes_active(table: RunTable) -> None:
    assert await table.need_active_standby_for(TP(CHANGELOG, 0))


def test_a_change_belongs_to_its_partition(table: RunTable) -> None:
    change = table.change(3)
    change.put_row(b"a", b"1")
    change.apply(0)
    assert table.rows[3].get(b"a") == b"1"
    assert table.count_rows() == 1


def test_recovery_goes_on_where_the_rows_end(table: RunTable) -> None:
    place = TP(CHANGELOG, 1)
    assert table.persisted_offset(place) is None
    table.apply_changelog_batch([changelog_run(1, (b"a", b"1"), (b"b", b"1"))])
    assert table.persisted_offset(place) == 1
    assert table.rows[1].position == Position(offset=1, time=1001)


def test_records_already_in_the_rows_are_skipped_and_not_counted(table: RunTable) -> None:
    """Faust reads the record at the position again, and a run may begin before it."""
    table.apply_changelog_batch([changelog_run(1, (b"a", b"1"), (b"a", b"2"))])
    counts: list[int] = []
    table._recovered = counts.append
    table.apply_changelog_batch([changelog_run(1, (b"a", b"1"))])
    table.apply_changelog_batch([changelog_run(1, (b"a", b"2"), (b"b", b"3"), first=1)])
    assert counts == [1]
    assert rows_of(table) == {1: {b"a": b"2", b"b": b"3"}}


def written(table: RunTable, first: int) -> int | None:
    """Write a row and the partition row as one batch at an offset; return the new position."""
    change = table.change(1)
    change.put_row(b"a", b"1")
    change.apply(first)
    return table.persisted_offset(TP(CHANGELOG, 1))


def test_the_position_advances_with_every_batch_that_follows_the_one_before(table: RunTable) -> None:
    assert [written(table, first) for first in (0, 2, 4)] == [1, 3, 5]


@pytest.mark.parametrize("first", [3, 0, -1])
def test_the_position_stays_if_another_writer_came_between_so_that_recovery_reads_it(
    table: RunTable, first: int
) -> None:
    assert written(table, 0) == 1
    assert written(table, first) == 1
    assert written(table, first + 2 if first > 0 else 7) == 1
    assert table.rows[1].get(b"a") == b"1"


async def test_derived_values_are_kept_until_a_rebalance(table: RunTable) -> None:
    derived = PerAssignment(table, lambda partition: len(list(table.rows[partition].items())))
    assert derived[0] == 0
    change = table.change(0)
    change.put_row(b"k", b"row")
    change.apply(0)
    assert derived[0] == 0
    await table.on_rebalance(set(), set(), set())
    table.rows[0].write([(b"k", b"row")], None)
    assert (derived[0], derived[1]) == (1, 0)
