from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.deploy.ledger.lists import TOLERANCE, _items_fault, _order_fault

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=30, unique=True)


def fault(rows: list[int], scores: list[float], size: int) -> str:
    ids, of_all = [f"i{row}" for row in rows], np.array(scores)
    return _items_fault(ids, rows, of_all, size) or _order_fault(ids, rows, of_all, TOLERANCE)


def best(scores: list[float], size: int) -> list[int]:
    return np.argsort(-np.array(scores), kind="stable")[:size].tolist()  # type: ignore[no-any-return]


@given(SCORES, st.integers(1, 12), st.data())
def test_the_best_in_their_order_are_right_however_close_ones_are_turned(
    scores: list[float], size: int, data: st.DataObject
) -> None:
    rounding = st.floats(-TOLERANCE / 3, TOLERANCE / 3)
    rounded = [score + data.draw(rounding) for score in scores]
    assert fault(best(rounded, size), scores, size) == ""


@given(SCORES, st.integers(2, 12), st.data())
def test_two_items_in_the_wrong_order_are_named(scores: list[float], size: int, data: st.DataObject) -> None:
    rows = best(scores, size)
    places = [n for n in range(len(rows) - 1) if scores[rows[n]] - scores[rows[n + 1]] > 2 * TOLERANCE]
    if places:
        at = data.draw(st.sampled_from(places))
        rows[at], rows[at + 1] = rows[at + 1], rows[at]
        assert f"has item 'i{rows[at]}' before 'i{rows[at + 1]}'" in fault(rows, scores, size)


def test_an_item_that_is_left_out_is_noticed() -> None:
    scores = [0.9, 0.8, 0.7, 0.1]
    assert "lacks an item that scores 0.7000" in fault([0, 1, 3], scores, 3)
    assert fault([0, 1, 2], scores, 3) == ""


@pytest.mark.parametrize(
    ("rows", "sentence"), [([0], "holds 1 items"), ([0, 0], "holds 1 items"), ([], "holds 0")]
)
def test_a_list_that_is_too_short_or_repeats_an_item_is_noticed(rows: list[int], sentence: str) -> None:
    assert sentence in fault(rows, [0.9, 0.8, 0.7], 2)


def test_items_that_may_not_be_listed_or_are_unknown_are_named() -> None:
    scores = [0.9, -np.inf, 0.7]
    assert fault([0, 2], scores, 2) == ""
    assert "holds item 'i1', which it may not" in fault([0, 1], scores, 2)
    assert "holds item 'i-1', which it may not" in fault([0, -1], scores, 2)


def test_nothing_is_right_where_nothing_may_be_listed() -> None:
    assert fault([], [-np.inf, -np.inf], 5) == ""
    assert fault([], [], 5) == ""
