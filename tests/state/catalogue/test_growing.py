import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.state.catalogue.growing import SMALLEST, Growing


@given(st.lists(st.integers(0, 5 * SMALLEST), min_size=1, max_size=6))
def test_elements_are_kept_and_new_ones_filled_however_the_arrays_grow(lengths: list[int]) -> None:
    arrays = Growing(number=((), np.int64, 7), vector=((2,), np.float32, -1))
    longest = 0
    for length in lengths:
        arrays.reach(length)
        arrays["number"][longest:] += np.arange(longest, max(longest, length))
        longest = max(longest, length)
    assert arrays["number"].tolist() == [7 + index for index in range(longest)]
    assert arrays["vector"].shape == (longest, 2)
    assert (arrays["vector"] == -1).all()


def test_a_view_shows_the_elements_in_use_and_writes_go_through() -> None:
    arrays = Growing(number=((), np.int64, 0))
    arrays.reach(3)
    arrays["number"][2] = 5
    arrays.reach(SMALLEST + 1)
    assert arrays["number"][:4].tolist() == [0, 0, 5, 0]
