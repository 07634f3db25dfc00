"""Revised relations and transitions are compared with those derived anew from the same rows."""

from __future__ import annotations

import numpy as np
import pytest

from afresh.models.arrays import NONE, Floats, Indices
from afresh.models.relations.relations import RANK, Relations, relate
from afresh.models.relations.revising import AllRows, Changed, Standing, fold_in, revise_rows, revise_texts
from afresh.models.relations.transitions import Transitions, follow
from tests.models.making import random_pairs

ITEMS, KEPT = 12, 11
KEYS = np.arange(1, ITEMS + 1, dtype=np.uint64)

Pairs = tuple[Indices, Floats]


def derived(rows: Pairs, texts: Pairs) -> tuple[Relations, Transitions]:
    mass = rows[1].sum(axis=1)
    return relate(KEYS, rows, mass, texts, KEPT), follow(rows, KEPT)


def standing(rows: Pairs, texts: Pairs) -> Standing:
    relations, transitions = derived(rows, texts)
    return Standing(
        related=relations.related.copy(),
        strengths=relations.strengths.copy(),
        followers=transitions.followers.copy(),
        following=transitions.following.copy(),
        vectors=relations.vectors.copy(),
        mass=relations.mass.copy(),
        followed=transitions.followed.copy(),
        preceded=transitions.preceded.copy(),
        derived=relations.mass.copy(),
        moved=np.zeros(ITEMS, np.float32),
    )


def changed(rows: Pairs, items: Indices) -> Changed:
    others, weights = rows
    return Changed(others[items], weights[items], weights[items], weights[items].sum(axis=1))


def table(others: Indices, values: Floats) -> dict[tuple[int, int], float]:
    """Return the value of each pair that is named."""
    places = np.argwhere(others != NONE)
    return {(int(row), int(others[row, column])): float(values[row, column]) for row, column in places}


def revised(before: Pairs, after: Pairs, texts: Pairs, items: Indices) -> Standing:
    found = standing(before, texts)
    revise_rows(items, changed(before, items), changed(after, items), AllRows(*after, *texts), found)
    return found


def with_rows(rows: Pairs, others: Pairs, items: Indices) -> Pairs:
    """Return rows of which some are those of others."""
    changed_rows = rows[0].copy(), rows[1].copy()
    for one, other in zip(changed_rows, others, strict=True):
        one[items] = other[items]
    return changed_rows


@pytest.mark.parametrize("seed", range(6))
def test_pairs_of_revised_rows_are_as_strong_as_if_derived_anew(seed: int) -> None:
    before, texts = random_pairs(ITEMS, 4, seed), random_pairs(ITEMS, 2, seed + 100)
    items = np.arange(4, dtype=np.int32)
    after = with_rows(before, random_pairs(ITEMS, 4, seed + 50), items)
    found, (relations, _) = revised(before, after, texts, items), derived(after, texts)
    np.testing.assert_allclose(found.mass, relations.mass, rtol=1e-4, atol=1e-5)
    right = table(relations.related, relations.strengths)
    named = {
        (item, other)
        for item in items.tolist()
        for other in after[0][item].tolist()
        if other not in (NONE, item)
    }
    strengths = table(found.related, found.strengths)
    for item, other in named | {(other, item) for item, other in named}:
        assert strengths.get((item, other), 0) == pytest.approx(right.get((item, other), 0), rel=1e-3), (
            item,
            other,
        )


@pytest.mark.parametrize("seed", range(3))
def test_with_all_rows_revised_and_no_texts_nothing_differs_from_deriving_anew(seed: int) -> None:
    before = random_pairs(ITEMS, 4, seed)
    texts = np.full((ITEMS, 2), NONE, np.int32), np.zeros((ITEMS, 2), np.float32)
    after, items = random_pairs(ITEMS, 4, seed + 50), np.arange(ITEMS, dtype=np.int32)
    found, (relations, transitions) = revised(before, after, texts, items), derived(after, texts)
    for one, other in (
        (table(found.related, found.strengths), table(relations.related, relations.strengths)),
        (table(found.followers, found.following), table(transitions.followers, transitions.following)),
    ):
        one, other = ({pair: value for pair, value in each.items() if value > 1e-6} for each in (one, other))
        assert one.keys() == other.keys()
        assert [one[pair] for pair in one] == pytest.approx([other[pair] for pair in one], rel=1e-3)


def test_rows_stay_sorted_and_name_no_item_twice() -> None:
    before, after, texts = (random_pairs(ITEMS, 5, seed) for seed in range(3))
    found = revised(before, after, texts, np.arange(0, ITEMS, 2, dtype=np.int32))
    for others, values in ((found.related, found.strengths), (found.followers, found.following)):
        assert (np.diff(values, axis=1) <= 0).all()
        assert ((values > 0) == (others != NONE)).all()
        for row in others.tolist():
            named = [other for other in row if other != NONE]
            assert len(set(named)) == len(named)


def test_a_pair_that_only_a_text_relates_gets_the_strength_of_its_likeness() -> None:
    rows = np.full((ITEMS, 4), NONE, np.int32), np.zeros((ITEMS, 4), np.float32)
    none = np.full((ITEMS, 2), NONE, np.int32), np.zeros((ITEMS, 2), np.float32)
    texts = none[0].copy(), none[1].copy()
    texts[0][3, 0], texts[1][3, 0] = 5, 0.9
    found, items = standing(rows, none), np.array([3], np.int32)
    revise_texts(items, none[0][items], none[1][items], AllRows(*rows, *texts), found)
    relations, _ = derived(rows, texts)
    assert found.related[[3, 5], 0].tolist() == [5, 3]
    np.testing.assert_allclose(found.strengths, relations.strengths, rtol=1e-4)
    revise_texts(items, texts[0][items], texts[1][items], AllRows(*rows, *none), found)
    assert not found.strengths.any()


def test_only_what_had_no_relation_is_folded_in() -> None:
    before, texts = random_pairs(ITEMS, 4, 1), random_pairs(ITEMS, 2, 2)
    found = standing(before, texts)
    known = found.vectors.copy()
    found.derived[0] = 0
    fold_in(np.arange(ITEMS, dtype=np.int32), found, np.ones(RANK, np.float32))
    np.testing.assert_array_equal(found.vectors[1:], known[1:])
    expected = sum(
        strength * known[other]
        for other, strength in zip(found.related[0], found.strengths[0], strict=True)
        if other not in (NONE, 0)
    )
    np.testing.assert_allclose(found.vectors[0], expected, rtol=1e-3, atol=1e-6)


def test_what_moved_is_added_up() -> None:
    before, after, texts = random_pairs(ITEMS, 4, 1), random_pairs(ITEMS, 4, 2), random_pairs(ITEMS, 2, 3)
    items = np.array([2], np.int32)
    found = revised(before, with_rows(before, after, items), texts, items)
    assert found.moved[2] > 0
    untouched = set(range(ITEMS)) - {2} - set(before[0][2].tolist()) - set(after[0][2].tolist())
    assert not found.moved[sorted(untouched)].any()
