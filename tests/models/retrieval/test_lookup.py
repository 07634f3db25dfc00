import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.arrays import NONE
from afresh.models.retrieval.lookup import enter, find, find_halves

keys = st.one_of(
    st.integers(1, 9),
    st.builds(lambda upper, lower: upper << 32 | lower, st.integers(0, 3), st.integers(1, 9)),
    st.integers(1, 2**64 - 1),
)


@given(st.lists(keys, max_size=30, unique=True), st.lists(keys, max_size=10), st.integers(0, 30))
def test_every_item_is_found_by_its_key_and_all_of_a_half_by_the_half(
    entered: list[int], wanted: list[int], first: int
) -> None:
    table, known = np.full(64, NONE, np.int32), np.array(entered, np.uint64)
    first = min(first, len(entered))
    enter(table, known[:first].copy(), 0)
    enter(table, known, first)
    asked = np.array(entered + wanted, np.uint64)
    expected = {key: number for number, key in enumerate(entered)}
    assert find(table, known, asked).tolist() == [expected.get(key, NONE) for key in asked.tolist()]
    halves = [key & 0xFFFFFFFF for key in wanted]
    assert sorted(find_halves(table, known, np.array(halves, np.uint64)).tolist()) == sorted(
        number for half in halves for number, key in enumerate(entered) if key & 0xFFFFFFFF == half
    )
