from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from afresh.models import scorers
from afresh.models.arrays import Indices
from afresh.models.fusion.weights import Weights
from afresh.models.lists.exploration import NEW_EXAMPLES, draw
from afresh.models.retrieval.asking import Items
from afresh.state.catalogue.alone import AloneCatalogue
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.rows.content import TEXT, Vector
from afresh.state.rows.users import UserRow
from afresh.streams.serving.arrange import Scored, arrange, pool
from afresh.streams.serving.lister import Lister
from tests.streams.making import catalogue_of, describe, user_row

ITEMS = [f"i{number}" for number in range(30)]
NOTHING = np.empty(0, np.int32)


def films() -> AloneCatalogue:
    """Make a catalogue in which each item has one of three texts."""
    catalogue = catalogue_of(*ITEMS)
    for number, item in enumerate(ITEMS):
        text = np.eye(3, dtype="<f2")[number % 3].tobytes()
        describe(catalogue, item, vectors=[Vector(TEXT, "e", "1", 0, text)])
    catalogue.derive()
    return catalogue


def items_of(catalogue: Catalogue) -> Items:
    """Return the items of a catalogue; all except the first fifteen are new."""
    examples = np.where(np.arange(len(catalogue)) < 15, NEW_EXAMPLES, NEW_EXAMPLES - 1)
    return catalogue.items()._replace(examples=examples.astype(np.uint32))


def scored(catalogue: AloneCatalogue, row: UserRow | None = None, others: Indices = NOTHING) -> Scored:
    return Lister(catalogue, 5).score(row or user_row("i1", "i2"), Weights(scorers.prior()), others)


def best_of(each: Scored) -> Indices:
    ranked = each.fused()[: each.ranked]
    return np.argsort(-ranked, kind="stable").astype(np.int32)


def arranged(each: Scored, items: Items, diverse: float = 0.0, size: int = 5) -> tuple[list[int], Any]:
    places, propensities = arrange(each, best_of(each), items, diverse, size)
    indices: list[int] = each.candidates[places].tolist()
    return indices, propensities


def test_without_diversity_and_exploration_a_list_is_the_best_items_in_order() -> None:
    catalogue = films()
    each = scored(catalogue)
    indices, propensities = arranged(each, items_of(catalogue))
    assert indices == each.candidates[best_of(each)[:5]].tolist()
    assert list(propensities) == [None] * 5


def test_a_list_has_at_most_as_many_items_as_there_are_candidates() -> None:
    catalogue = catalogue_of("a", "b")
    catalogue.derive()
    indices, propensities = arranged(scored(catalogue, user_row("a")), items_of(catalogue))
    assert [catalogue.ids[index] for index in indices] == ["b"]
    assert len(propensities) == 1


def test_a_diverse_list_begins_with_the_best_item_and_goes_on_with_different_ones() -> None:
    catalogue = films()
    each = scored(catalogue)
    plain, _ = arranged(each, items_of(catalogue))
    diverse, _ = arranged(each, items_of(catalogue), diverse=0.9)
    assert diverse[0] == plain[0]
    texts = catalogue.items().codes.argmax(axis=1)
    assert len(set(texts[diverse[:3]].tolist())) == 3


def test_items_not_chosen_for_diversity_follow_in_the_order_of_scores() -> None:
    catalogue = films()
    each = scored(catalogue)
    best = best_of(each)
    places, _ = arrange(each, best, items_of(catalogue), 0.9, 5)
    rest = [place for place in best.tolist() if place not in set(places.tolist())]
    whole, _ = arrange(each, best, items_of(catalogue), 0.9, len(best))
    assert set(whole.tolist()) == set(best.tolist())
    drawn = draw(pool(items_of(catalogue), each.excluded), 1e-9, len(best), seed=1)
    explored = replace(each, drawn=drawn)
    longer, _ = arrange(explored, best, items_of(catalogue), 0.9, 5)
    assert longer.tolist() == [*places.tolist(), *rest]


def test_the_pool_has_available_seldom_taken_items_that_are_not_left_out_by_key() -> None:
    catalogue = films()
    describe(catalogue, "i29", available=False)
    items, excluded = items_of(catalogue), np.array([20, 3], np.int32)
    found = pool(items, excluded)
    assert sorted(found.tolist()) == [row for row in range(15, 29) if row != 20]
    assert (np.diff(items.keys[found].astype(object)) > 0).all()


def test_places_for_new_items_hold_the_drawn_ones_and_every_place_has_a_propensity() -> None:
    catalogue = films()
    new = pool(items_of(catalogue), NOTHING)
    drawn = draw(new, 1.0, 5, seed=3)
    each = replace(scored(catalogue, others=drawn.new), drawn=drawn)
    indices, propensities = arranged(each, items_of(catalogue))
    assert indices == drawn.new[:5].tolist()
    assert propensities == pytest.approx([1 / (len(new) - given) for given in range(5)])


def test_without_a_place_for_new_items_the_best_items_stay_with_their_propensities() -> None:
    catalogue = films()
    drawn = draw(pool(items_of(catalogue), NOTHING), 1e-9, 5, seed=3)
    each = replace(scored(catalogue, others=drawn.new), drawn=drawn)
    indices, propensities = arranged(each, items_of(catalogue))
    assert indices == each.candidates[best_of(each)[:5]].tolist()
    assert propensities == pytest.approx([1.0] * 5)


def test_places_of_indices_are_their_positions_among_the_candidates() -> None:
    each = scored(films())
    indices = each.candidates[[4, 0, 9]]
    assert each.places_of(indices).tolist() == [4, 0, 9]


def test_the_final_score_uses_the_weights_of_the_users_situation() -> None:
    each = scored(films())
    expected = each.features @ (each.situation @ each.learned.omega)
    np.testing.assert_allclose(each.fused(), expected, rtol=1e-5, atol=1e-5)
