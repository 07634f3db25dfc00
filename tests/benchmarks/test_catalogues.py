from __future__ import annotations

import numpy as np
import pytest

from afresh.models.arrays import NONE
from afresh.models.retrieval.asking import LIKENESS_UNIT, Items
from afresh.models.retrieval.codes import decoded
from afresh.state.rows import users
from tests.benchmarks.catalogues import THEME, Made, World

ITEMS = 2_000


@pytest.fixture(scope="module")
def items() -> Items:
    return World(ITEMS).catalogue().items()


def test_few_items_have_most_of_the_events_and_some_have_none(items: Items) -> None:
    taken = np.sort(items.examples)[::-1]
    assert taken[: ITEMS // 10].sum() > 0.4 * taken.sum()
    assert 0.05 < np.mean(taken == 0) < 0.15


def test_related_items_are_of_the_same_theme_more_often_than_by_chance(items: Items) -> None:
    known = items.related != NONE
    theme = np.arange(ITEMS)[:, None] // THEME == items.related // THEME
    assert theme[known].mean() > 10 * THEME / ITEMS


def test_the_nearest_texts_come_first_and_are_never_the_item_itself(items: Items) -> None:
    assert (np.diff(items.likeness.astype(int), axis=1) <= 0).all()
    assert (items.akin != np.arange(ITEMS)[:, None]).all()
    embeddings = decoded(items.codes, items.scales)
    cosines = np.einsum("e,ne->n", embeddings[7], embeddings[items.akin[7]])
    np.testing.assert_allclose(cosines, LIKENESS_UNIT * items.likeness[7], atol=2e-3)


def test_a_users_history_holds_items_of_the_catalogue_newest_first() -> None:
    world = World(ITEMS)
    catalogue = world.catalogue()
    for row in world.users(20):
        indices = catalogue.indices_of(users.history_of(row))
        assert ((indices >= 0) & (indices < ITEMS)).all()
        assert (np.diff(users.ages_of(row)) >= 0).all()
        assert sorted(catalogue.indices_of_halves(users.left_out_of(row, "taken"))) == sorted(indices)


def test_the_same_seed_makes_the_same_catalogue(items: Items) -> None:
    again: Made = World(ITEMS).catalogue()
    assert (again.items().related == items.related).all()
