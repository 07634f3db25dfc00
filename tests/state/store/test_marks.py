from hypothesis import given
from hypothesis import strategies as st

from afresh.state.store.marks import Marks

deliveries = st.lists(st.tuples(st.sampled_from(["events", "items"]), st.integers(0, 2), st.integers(0, 30)))


@given(deliveries, st.integers(0, 50))
def test_an_offset_counts_if_it_is_above_all_offsets_counted_before(
    offsets: list[tuple[str, int, int]], packed_after: int
) -> None:
    marks, highest = Marks({}, partitions=3), dict[tuple[str, int], int]()
    for number, (topic, partition, offset) in enumerate(offsets):
        if number == packed_after:
            marks = Marks(marks.pack(), partitions=3)
        assert marks.count_offset(topic, partition, offset) == (offset > highest.get((topic, partition), -1))
        highest[topic, partition] = max(offset, highest.get((topic, partition), -1))


def test_the_very_first_offset_counts_once() -> None:
    marks = Marks({}, partitions=1)
    assert marks.count_offset("events", 0, 0)
    assert not marks.count_offset("events", 0, 0)


def test_offsets_counted_before_are_skipped_and_their_number_is_told() -> None:
    marks = Marks({}, partitions=1)
    for offset in (0, 1, 1, 0, 2):
        marks.count_offset("events", 0, offset)
    assert marks.skipped == 2


def test_the_largest_offsets_of_kafka_survive_packing() -> None:
    marks = Marks({}, partitions=2)
    marks.count_offset("events", 1, 2**62)
    assert not Marks(marks.pack(), 2).count_offset("events", 1, 2**62)
    assert Marks(marks.pack(), 2).count_offset("events", 1, 2**62 + 1)


def test_packed_marks_do_not_change_when_the_marks_move_on() -> None:
    marks = Marks({}, partitions=1)
    marks.count_offset("events", 0, 1)
    packed = marks.pack()
    marks.count_offset("events", 0, 2)
    assert Marks(packed, 1).count_offset("events", 0, 2)


def test_all_records_of_a_forgotten_topic_count_again() -> None:
    marks = Marks({}, partitions=2)
    for topic in ("items", "embeddings"):
        marks.count_offset(topic, 1, 7)
    marks.forget("items")
    marks.forget("never counted")
    assert marks.count_offset("items", 1, 0)
    assert not marks.count_offset("embeddings", 1, 7)
