from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.state.store.rows import MemoryPartitions, MemoryRows, Position


def test_rows_are_written_and_deleted_together_with_their_position() -> None:
    rows = MemoryRows({b"a": b"1", b"b": b"2"})
    assert rows.position is None
    rows.write([(b"a", None), (b"c", b"3"), (b"never there", None)], Position(7, 1000))
    assert dict(rows) == {b"b": b"2", b"c": b"3"}
    assert rows.position == Position(7, 1000)


def test_the_last_row_written_for_a_key_stays() -> None:
    rows = MemoryRows()
    rows.write([(b"a", b"1"), (b"a", None), (b"a", b"2")], None)
    assert rows.get(b"a") == b"2"


def test_forgotten_rows_have_no_position() -> None:
    rows = MemoryRows()
    rows.write([(b"a", b"1")], Position(7, 1000))
    rows.forget()
    assert (dict(rows), rows.position) == ({}, None)


def test_one_can_go_through_keys_while_rows_are_written() -> None:
    rows = MemoryRows({b"a": b"1", b"b": b"2"})
    keys = rows.keys_now()
    first = next(keys)
    rows.write([(b"a", None), (b"c", b"3")], None)
    assert {first, *keys} == {b"a", b"b"}


def test_a_partition_that_moves_away_takes_its_rows_with_it() -> None:
    partitions = MemoryPartitions()
    for number in range(3):
        partitions[number].write([(b"a", b"1")], None)
    partitions.keep_only({1, 5})
    assert {number: dict(rows) for number, rows in partitions.items()} == {1: {b"a": b"1"}}
    assert dict(partitions[0]) == {}


def test_rows_are_counted_without_partition_rows() -> None:
    partitions = MemoryPartitions()
    partitions[0].write([(b"a", b"1"), (PARTITION_ROW_KEY, b"own")], None)
    partitions[1].write([(b"b", b"1")], None)
    assert partitions.count_rows() == 2
