import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.state.store import marks as module
from afresh.state.store.marks import (
    INCARNATIONS_KEPT,
    UNKNOWN,
    Marks,
    PartitionRow,
    Reached,
    reach,
    reached_with,
)
from afresh.state.versions import RowVersionError, unpack_known
from tests.streams.making import record

deliveries = st.lists(
    st.tuples(
        st.sampled_from(["events", "items"]),
        st.integers(1, INCARNATIONS_KEPT),
        st.integers(0, 2),
        st.integers(0, 30),
    )
)


@given(deliveries, st.integers(0, 50))
def test_an_offset_counts_if_it_is_above_all_offsets_counted_before_in_its_incarnation(
    offsets: list[tuple[str, int, int, int]], packed_after: int
) -> None:
    marks, highest = Marks({}, partitions=3), dict[tuple[str, int, int], int]()
    for number, (topic, incarnation, partition, offset) in enumerate(offsets):
        if number == packed_after:
            marks = Marks(marks.pack(), partitions=3)
        key = topic, incarnation, partition
        assert marks.count_offset(*key, offset) == (offset > highest.get(key, -1))
        highest[key] = max(offset, highest.get(key, -1))


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), max_size=20),
    st.lists(st.tuples(st.sampled_from([UNKNOWN, 7]), st.integers(0, 1), st.integers(0, 19)), max_size=40),
)
def test_marks_of_0_1_0_go_on_in_the_first_incarnation_that_is_met(
    before: list[tuple[int, int]], after: list[tuple[int, int, int]]
) -> None:
    """Whether a record after the upgrade names its incarnation or is one of 0.1.0 still on its way."""
    highest = [-1, -1]
    for partition, offset in before:
        highest[partition] = max(offset, highest[partition])
    row = PartitionRow(version=1, marks={"events": np.array(highest, "<i8").tobytes()})
    marks = Marks(row.all_marks(), 2)
    for incarnation, partition, offset in after:
        assert marks.count_offset("events", incarnation, partition, offset) == (offset > highest[partition])
        highest[partition] = max(offset, highest[partition])
        marks = Marks(marks.pack(), 2)


def test_a_topic_that_is_made_again_begins_anew_and_late_records_of_the_old_one_are_known() -> None:
    marks = Marks({}, partitions=1)
    assert [marks.count_offset("events", 7, 0, offset) for offset in range(3)] == [True] * 3
    assert [marks.count_offset("events", 8, 0, offset) for offset in range(2)] == [True] * 2
    assert not marks.count_offset("events", 7, 0, 2), "a late record is not counted again"
    assert marks.count_offset("events", 7, 0, 3), "a late record that never came is counted"
    assert not Marks(marks.pack(), 1).count_offset("events", 7, 0, 3)


def test_only_some_incarnations_are_kept_and_the_oldest_goes_first() -> None:
    marks = Marks({}, partitions=1)
    for incarnation in range(1, INCARNATIONS_KEPT + 2):
        assert marks.count_offset("events", incarnation, 0, 5)
    assert list(marks.pack()["events"]) == list(range(2, INCARNATIONS_KEPT + 2))


def test_marks_without_an_incarnation_are_adopted_at_once_if_they_are_told_to() -> None:
    marks = Marks({"events": {UNKNOWN: np.array([5], "<i8").tobytes()}}, 1)
    marks.adopt("events", 7)
    marks.adopt("items", 7)
    assert list(marks.pack()["events"]) == [7]
    assert "items" not in marks.pack()
    assert marks.count_offset("events", 8, 0, 0)


def test_the_very_first_offset_counts_once() -> None:
    marks = Marks({}, partitions=1)
    assert marks.count_offset("events", 7, 0, 0)
    assert not marks.count_offset("events", 7, 0, 0)


def test_offsets_counted_before_are_skipped_and_their_number_is_told() -> None:
    marks = Marks({}, partitions=1)
    for offset in (0, 1, 1, 0, 2):
        marks.count_offset("events", 7, 0, offset)
    assert marks.skipped == 2


def test_the_largest_offsets_and_incarnations_survive_packing() -> None:
    marks = Marks({}, partitions=2)
    marks.count_offset("events", 2**64 - 1, 1, 2**62)
    row = msgspec.msgpack.encode(PartitionRow(counted=marks.pack()))
    again = msgspec.msgpack.decode(row, type=PartitionRow).all_marks()
    assert not Marks(again, 2).count_offset("events", 2**64 - 1, 1, 2**62)
    assert Marks(again, 2).count_offset("events", 2**64 - 1, 1, 2**62 + 1)


def test_packed_marks_do_not_change_when_the_marks_move_on() -> None:
    marks = Marks({}, partitions=1)
    marks.count_offset("events", 7, 0, 1)
    packed = marks.pack()
    marks.count_offset("events", 7, 0, 2)
    assert Marks(packed, 1).count_offset("events", 7, 0, 2)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 30)), min_size=1))
def test_the_last_record_of_each_incarnation_is_kept_whatever_comes_again(
    seen: list[tuple[int, int]],
) -> None:
    """A topic is never made anew as what it was, so that incarnations come one after the other."""
    reached: dict[str, list[Reached]] = {}
    in_order = sorted(seen, key=lambda each: each[0])
    for incarnation, offset in in_order:
        reach(reached, "events", Reached(incarnation, offset, 0, 0))
    highest = {each: max(offset for other, offset in seen if other == each) for each, _ in in_order}
    assert [(each.incarnation, each.offset) for each in reached["events"]] == list(highest.items())[
        -INCARNATIONS_KEPT:
    ]


def test_another_record_at_the_same_offset_has_another_fingerprint() -> None:
    one = reached_with(record(b"1", offset=4, timestamp=10), 7)
    assert one == reached_with(record(b"1", offset=4, timestamp=10), 7)
    assert one != reached_with(record(b"2", offset=4, timestamp=10), 7)
    assert one != reached_with(record(b"1", offset=4, timestamp=11), 7)


class RowOf010(msgspec.Struct, array_like=True):
    """The partition row as 0.1.0 knew it."""

    version: int = 1
    marks: dict[str, bytes] = {}
    agent_state: bytes = b""


def test_0_1_0_refuses_a_row_of_this_version_instead_of_counting_twice() -> None:
    row = msgspec.msgpack.encode(PartitionRow(counted={"events": {7: b""}}))
    decoder = msgspec.msgpack.Decoder(RowOf010)
    with pytest.raises(RowVersionError, match="has version 2; this program knows 1"):
        unpack_known(decoder, row, "A partition's row", 1)
    assert module.PARTITION_ROW_VERSION == 2


def test_all_records_of_a_forgotten_topic_count_again() -> None:
    marks = Marks({}, partitions=2)
    for topic in ("items", "embeddings"):
        marks.count_offset(topic, 5, 1, 7)
    marks.forget("items")
    marks.forget("never counted")
    assert marks.count_offset("items", 5, 1, 0)
    assert not marks.count_offset("embeddings", 5, 1, 7)
