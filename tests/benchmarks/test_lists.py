from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from afresh.models import scorers
from afresh.models.arrays import NONE
from afresh.models.fusion import features
from afresh.models.fusion.weights import Weights
from afresh.models.retrieval import candidates
from afresh.streams.serving.lister import Lister
from tests.benchmarks import lists
from tests.benchmarks.catalogues import Made, World

ITEMS = 1_000


@pytest.fixture(scope="module")
def world() -> World:
    return World(ITEMS)


@pytest.fixture(scope="module")
def catalogue(world: World) -> Made:
    return world.catalogue()


def test_if_all_items_are_candidates_the_list_is_the_exact_list() -> None:
    world = World(candidates.RELATED_CANDIDATES)
    cost = lists.measure(world.catalogue(), list(world.users(5)))
    assert cost.recall == 1
    assert (cost.items, cost.lists, cost.exact_lists) == (candidates.RELATED_CANDIDATES, 5, 5)


def test_lists_that_lack_the_best_items_cost_recall(
    monkeypatch: pytest.MonkeyPatch, world: World, catalogue: Made
) -> None:
    exact = lists.exact_list

    def half(*given: Any) -> Any:
        best = exact(*given)
        best[::2] = NONE
        return best

    monkeypatch.setattr(lists, "exact_list", half)
    assert lists.measure(catalogue, list(world.users(5))).recall <= 0.5


def test_the_exact_list_holds_nothing_that_the_user_has_had(world: World, catalogue: Made) -> None:
    (row,) = world.users(1)
    scored = Lister(catalogue, lists.K).score(row, Weights(scorers.prior()))
    best = lists.exact_list(catalogue, row, scored)
    assert len(np.unique(best)) == lists.K
    assert not np.isin(best, scored.excluded).any()


def test_relative_to_themselves_scores_have_the_features_of_the_fusion() -> None:
    scores = np.random.default_rng(0).random((3, 20)).astype(np.float32)
    scores[1] = 0
    np.testing.assert_allclose(lists.on_the_scale_of(scores, scores), features.features(scores), rtol=1e-4)


def test_a_catalogue_that_does_not_fit_into_memory_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(lists, "SIZES", (10**12,))
    assert lists.measure_lists(said.append) == []
    assert said == ["not enough memory for lists of 1,000,000,000,000 items"]
