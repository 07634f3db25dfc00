from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from afresh.deploy.ledger import items
from afresh.deploy.ledger.lists import TOLERANCE, _items_fault, _order_fault
from afresh.state.model import model
from afresh.streams.serving.lister import Lister
from tests.deploy.ledger.making import judged, lists_of, played, settings_of

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=30, unique=True)


def fault(indices: list[int], scores: list[float], size: int) -> str:
    ids, of_all = [f"i{index}" for index in indices], np.array(scores)
    return _items_fault(ids, indices, of_all, size) or _order_fault(ids, indices, of_all, TOLERANCE)


def best(scores: list[float], size: int) -> list[int]:
    return np.argsort(-np.array(scores), kind="stable")[:size].tolist()  # type: ignore[no-any-return]


@given(SCORES, st.integers(1, 12), st.data())
def test_the_best_items_in_order_are_right_and_close_ones_may_swap(
    scores: list[float], size: int, data: st.DataObject
) -> None:
    rounding = st.floats(-TOLERANCE / 3, TOLERANCE / 3)
    rounded = [score + data.draw(rounding) for score in scores]
    assert fault(best(rounded, size), scores, size) == ""


@given(SCORES, st.integers(2, 12), st.data())
def test_two_items_in_the_wrong_order_are_named(scores: list[float], size: int, data: st.DataObject) -> None:
    indices = best(scores, size)
    wide = [n for n in range(len(indices) - 1) if scores[indices[n]] - scores[indices[n + 1]] > 2 * TOLERANCE]
    if wide:
        at = data.draw(st.sampled_from(wide))
        indices[at], indices[at + 1] = indices[at + 1], indices[at]
        assert f"has item 'i{indices[at]}' before 'i{indices[at + 1]}'" in fault(indices, scores, size)


def test_a_list_that_lacks_a_better_item_is_wrong() -> None:
    scores = [0.9, 0.8, 0.7, 0.1]
    assert "lacks an item that scores 0.7000" in fault([0, 1, 3], scores, 3)
    assert fault([0, 1, 2], scores, 3) == ""


@pytest.mark.parametrize(
    ("indices", "sentence"), [([0], "holds 1 items"), ([0, 0], "holds 1 items"), ([], "holds 0")]
)
def test_a_list_that_is_too_short_or_repeats_an_item_is_wrong(indices: list[int], sentence: str) -> None:
    assert sentence in fault(indices, [0.9, 0.8, 0.7], 2)


def test_items_that_are_not_allowed_or_unknown_are_named() -> None:
    scores = [0.9, -np.inf, 0.7]
    assert fault([0, 2], scores, 2) == ""
    assert "holds item 'i1', which is not allowed" in fault([0, 1], scores, 2)
    assert "holds item 'i-1', which is not allowed" in fault([0, -1], scores, 2)


def test_an_empty_list_is_right_if_no_item_is_allowed() -> None:
    assert fault([], [-np.inf, -np.inf], 5) == ""
    assert fault([], [], 5) == ""


async def test_an_audit_derives_learns_and_scores_with_one_thread_as_workers_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = await played(settings_of(tmp_path), events=60)
    served, threads = lists_of(pipeline), dict[str, set[int]]()

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def watching(*arguments: Any) -> Any:
            found = [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]
            threads.setdefault(name, set()).update(found)
            return function(*arguments)

        return watching

    for place, name in ((items, "learn"), (model, "derive"), (Lister, "score")):
        monkeypatch.setattr(place, name, watched(name, getattr(place, name)))
    with threadpool_limits(2):
        assert judged(pipeline, served).differences == []
    assert threads == {"learn": {1}, "derive": {1}, "score": {1}}
