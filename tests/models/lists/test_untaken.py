import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.lists.untaken import expected_takes, held_back

examples = st.lists(st.integers(0, 3), min_size=1, max_size=20)


def test_an_untaken_item_is_expected_to_be_taken_as_often_as_good_and_turing_say() -> None:
    assert expected_takes(never=40, once=0) == 0
    assert expected_takes(never=4, once=8) == 2
    assert expected_takes(never=0, once=8) == 8


def test_where_all_items_or_none_were_taken_nothing_is_expected_and_nothing_held_back() -> None:
    scores = np.array([3, 1, 2], np.float32)
    for taken in (np.zeros(3, np.uint32), np.ones(3, np.uint32)):
        proven = taken > expected_takes(int((taken == 0).sum()), int((taken == 1).sum()))
        assert held_back(scores, taken == 0, proven & (taken > 0)).tolist() == scores.tolist()


@given(examples, st.data())
def test_no_untaken_item_is_before_a_proven_one_and_all_others_keep_their_scores(
    taken: list[int], data: st.DataObject
) -> None:
    size = len(taken)
    scores = np.array(
        data.draw(st.lists(st.floats(-9, 9, width=32), min_size=size, max_size=size)), np.float32
    )
    untaken = np.array(taken) == 0
    proven = np.array(taken) > 1
    held = held_back(scores, untaken, proven)
    assert held.dtype == np.float32
    assert held[~untaken].tolist() == scores[~untaken].tolist()
    assert (held <= scores).all()
    if proven.any():
        assert (held[untaken] < held[proven].min()).all()
