from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.metrics import evaluation
from afresh.models.metrics.evaluation import MISS, Bootstrap, rank_in_list

RANKS = np.array([0, 1, 9, 10, MISS])


def test_measures_of_one_relevant_item_equal_their_definitions() -> None:
    values = {name: measure(RANKS, 10).tolist() for name, measure in evaluation.MEASURES.items()}
    assert values["hr"] == values["recall"] == [1, 1, 1, 0, 0]
    assert values["precision"] == [0.1, 0.1, 0.1, 0, 0]
    assert values["f1"] == pytest.approx([2 / 11, 2 / 11, 2 / 11, 0, 0])
    assert values["mrr"] == values["map"] == [1, 0.5, 0.1, 0, 0]
    assert values["ndcg"] == pytest.approx([1, 1 / math.log2(3), 1 / math.log2(11), 0, 0])


def test_ties_and_nan_count_against_the_item_taken() -> None:
    assert rank_in_list(["a", "b", "c", "d"], [3.0, 2.0, 2.0, 2.0], "b") == 3
    assert rank_in_list(["a", "b", "c"], [2.0, 1.0, math.nan], "a") == 1
    assert rank_in_list(["a", "b", "c"], [2.0, math.nan, 1.0], "b") == 2
    assert rank_in_list(["a"], [1.0], "z") == MISS
    assert rank_in_list(["a", "b", "c", "d"], [3.0, 1.0, 2.0, 1.0], "b") == 2, "c was put behind on purpose"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.data())
def test_a_tie_never_improves_a_rank(scores: list[int], data: st.DataObject) -> None:
    ordered = sorted(scores, reverse=True)
    place = data.draw(st.integers(0, len(scores) - 1))
    items = [str(number) for number in range(len(scores))]
    rank = rank_in_list(items, [float(score) for score in ordered], str(place))
    assert rank >= place
    assert rank == max(number for number, score in enumerate(ordered) if score == ordered[place])


def test_means_over_users_count_every_user_once() -> None:
    means = Bootstrap(np.array([7, 7, 7, 3]), 50, seed=0).means(np.array([1.0, 1.0, 1.0, 0.0]))
    assert means.by_event.mean == 0.75
    assert means.by_user.mean == 0.5


def test_an_interval_holds_the_mean_and_narrows_with_more_users() -> None:
    random = np.random.default_rng(1)
    widths = []
    for users in (40, 4000):
        values = random.random(users)
        estimate = Bootstrap(np.arange(users), 400, seed=0).means(values).by_event
        assert estimate.low < estimate.mean < estimate.high
        widths.append(estimate.high - estimate.low)
        # 1.96 standard errors on both sides
        assert widths[-1] == pytest.approx(2 * 1.96 * values.std() / math.sqrt(users), rel=0.2)
    assert widths[1] < widths[0] / 5


def test_events_of_one_user_are_drawn_together() -> None:
    values = np.repeat([0.0, 1.0], 500)
    apart = Bootstrap(np.arange(1000), 200, seed=0).means(values).by_event
    together = Bootstrap(np.repeat([0, 1], 500), 200, seed=0).means(values).by_event
    assert (together.low, together.high) == (0.0, 1.0)
    assert apart.low > 0.4


def test_a_slice_is_the_mean_over_its_own_events_and_nan_without_events() -> None:
    bootstrap = Bootstrap(np.array([0, 1, 2]), 100, seed=0)
    chosen = bootstrap.means(np.array([1.0, 0.0, 1.0]), np.array([True, False, False])).by_event
    assert (chosen.mean, chosen.low, chosen.high) == (1.0, 1.0, 1.0)
    nothing = bootstrap.means(np.array([1.0, 0.0, 1.0]), np.zeros(3, bool)).by_user
    assert math.isnan(nothing.mean)
    assert math.isnan(nothing.low)


def test_the_same_seed_gives_the_same_interval() -> None:
    values, users = np.random.default_rng(0).random(100), np.arange(100) % 20
    first, second = (Bootstrap(users, 100, seed=5).means(values) for _ in range(2))
    assert first == second
    assert first != Bootstrap(users, 100, seed=6).means(values)
