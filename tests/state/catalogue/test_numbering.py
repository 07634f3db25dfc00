import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.arrays import NONE
from afresh.state.catalogue.growing import SMALLEST
from afresh.state.catalogue.numbering import Numbering


@given(st.lists(st.lists(st.integers(1, 40), max_size=8), max_size=12))
def test_items_get_numbers_in_the_order_in_which_they_become_known(named: list[list[int]]) -> None:
    numbering, expected = Numbering(), dict[int, int]()
    for keys in named:
        for key in keys:
            expected.setdefault(key, len(expected))
        assert numbering.place(np.array(keys, np.uint64)).tolist() == [expected[key] for key in keys]
    assert numbering.keys.tolist() == list(expected)
    assert len(numbering) == len(expected)


def test_all_items_are_found_however_often_the_table_grows() -> None:
    numbering = Numbering()
    keys = np.random.default_rng(3).integers(1, 2**64, 9 * SMALLEST, np.uint64)
    for start in range(0, len(keys), 700):
        numbering.place(keys[start : start + 700])
    assert numbering.numbers_of(keys).tolist() == list(range(len(keys)))
    assert numbering.numbers_of_halves(keys & np.uint64(0xFFFFFFFF)).tolist() == list(range(len(keys)))


def test_what_is_not_known_has_no_number() -> None:
    numbering = Numbering()
    assert numbering.numbers_of(np.array([[5]], np.uint64)).tolist() == [[NONE]]
    assert numbering.numbers_of_halves(np.array([5], np.uint32)).tolist() == []
