import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.retrieval.places import Numbering

indices = st.lists(st.integers(0, 30), max_size=40)


@given(st.lists(st.tuples(indices, indices), min_size=1, max_size=5))
def test_distinct_indices_and_their_places_are_right_in_repeated_calls(
    asked: list[tuple[list[int], list[int]]],
) -> None:
    numbering = Numbering()
    numbering.reach(31)
    for many, others in asked:
        distinct = numbering.distinct(np.array(many, np.int32))
        assert sorted(distinct.tolist()) == sorted(set(many))
        places = numbering.places(np.array([*others, -1], np.int32), distinct)
        expected = {index: place for place, index in enumerate(distinct.tolist())}
        assert places.tolist() == [expected.get(index, len(distinct)) for index in [*others, -1]]


def test_there_is_room_for_the_largest_number_of_items_so_far() -> None:
    numbering = Numbering()
    for items in (5, 2, 100):
        numbering.reach(items)
    assert numbering.distinct(np.array([99], np.int32)).tolist() == [99]
