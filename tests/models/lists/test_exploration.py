from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.lists.exploration import Draw, draw, fill

POOL = np.arange(7, 12, dtype=np.int32)
"""Indices of new items."""

RANKED = np.arange(9, dtype=np.int32)
"""Indices of items, best first. Three new items are not among them."""


def listed(share: float, k: int, seed: int) -> tuple[list[int], list[float]]:
    indices, propensities = fill(RANKED, np.isin(RANKED, POOL), draw(POOL, share, k, seed))
    return indices.tolist(), propensities


@given(st.floats(0, 1), st.integers(0, 20), st.integers(0, 1000))
def test_a_list_holds_each_item_once_with_a_propensity(share: float, k: int, seed: int) -> None:
    indices, propensities = listed(share, k, seed)
    assert len(set(indices)) == len(indices) == len(propensities)
    assert len(indices) == k or set(RANKED.tolist()) <= set(indices)
    assert all(0 < each <= 1 for each in propensities)


def test_without_exploration_the_list_is_the_ranking() -> None:
    assert listed(0.0, 5, 1) == ([0, 1, 2, 3, 4], [1.0] * 5)


def test_the_same_seed_gives_the_same_list() -> None:
    assert listed(0.5, 6, 3) == listed(0.5, 6, 3)
    assert len({tuple(listed(0.5, 6, seed)[0]) for seed in range(20)}) > 5


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_propensities_are_the_frequencies_of_items_at_the_first_place(share: float) -> None:
    draws = 20_000
    first, chances = Counter[int](), dict[int, float]()
    for seed in range(draws):
        indices, propensities = listed(share, 3, seed)
        first[indices[0]] += 1
        assert chances.setdefault(indices[0], propensities[0]) == propensities[0]
    assert sum(chances.values()) == pytest.approx(1.0)
    for item, chance in chances.items():
        assert first[item] / draws == pytest.approx(chance, abs=0.01)


@pytest.mark.slow
def test_lists_weighed_by_propensities_estimate_another_way_of_choosing() -> None:
    """Estimates from lists with exploration how often a list by score alone is served (Horvitz and Thompson)."""
    weighed = []
    for seed in range(20_000):
        indices, propensities = listed(0.3, 2, seed)
        weighed.append((indices == [0, 1]) / np.prod(propensities))
    assert np.mean(weighed) == pytest.approx(1.0, abs=0.02)


def test_a_new_item_listed_for_its_score_is_not_drawn_again() -> None:
    ranked = np.array([7, 8, 0], np.int32)
    given = np.array([False, True, True])
    indices, propensities = fill(
        ranked, np.isin(ranked, POOL), Draw(0.5, given, np.array([7, 9, 8], np.int32), 5)
    )
    assert indices.tolist() == [7, 9, 8]
    assert propensities == pytest.approx([0.5 + 0.5 / 5, 0.5 / 4, 0.5 + 0.5 / 3])


def test_without_new_items_the_best_items_get_all_places() -> None:
    drawn = draw(np.empty(0, np.int32), 0.5, 4, 1)
    indices, propensities = fill(RANKED, np.zeros(len(RANKED), np.bool_), drawn)
    assert (indices.tolist(), propensities) == ([0, 1, 2, 3], [1.0] * 4)
