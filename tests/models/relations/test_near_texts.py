from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afresh.models.arrays import Floats, Indices, Keys, Mask, Places
from afresh.models.relations import near_texts
from afresh.models.relations.near_texts import NearTexts
from afresh.models.relations.texts import nearest

COUNT = 5
NOTHING = np.zeros(0, np.intp)


class Shop:
    """Items whose texts come, change and go."""

    def __init__(self, keys: Keys, width: int, **near: int) -> None:
        self.keys = keys
        self.vectors = np.zeros((len(keys), width), np.float16)
        self.near = NearTexts(COUNT, **near)

    def update(self, changed: Places) -> None:
        """Take in changed texts. What differs must be told, and nothing else."""
        size = len(self.keys)
        akin, likeness = (np.zeros((size, COUNT)) for _ in range(2))
        akin -= 1
        known = len(self.near.akin)
        akin[:known], likeness[:known] = self.near.akin, self.near.likeness
        told = self.near.update(self.keys, self.vectors, changed)
        differs = ((akin != self.near.akin) | (likeness != self.near.likeness)).any(axis=1)
        assert told.tolist() == np.flatnonzero(differs).tolist()

    def settle(self, changed: Places) -> None:
        self.update(changed)
        while self.near.waiting:
            self.update(NOTHING)

    @property
    def with_text(self) -> Mask:
        return np.asarray(self.vectors.any(axis=1) & np.isfinite(self.vectors).all(axis=1))

    def expected(self) -> tuple[Indices, Floats]:
        """Search from nothing, in the order of keys."""
        order = np.argsort(self.keys)
        vectors = np.where(self.with_text[:, None], self.vectors, 0).astype(np.float32)[order]
        size = len(order)
        none = np.full((size, COUNT), -1, np.int32), np.zeros((size, COUNT), np.float32)
        akin, likeness = nearest(vectors, *none, np.ones(size, bool))
        back = np.argsort(order)
        return np.append(order, -1)[akin[back]].astype(np.int32), likeness[back]

    def recall(self) -> float:
        """Return which share of the cosines of an exact search are reached."""
        _, likeness = self.expected()
        held = self.with_text
        return float((self.near.likeness[held] >= likeness[held]).mean())


def clustered(count: int, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count // 20 + 1, 24))
    vectors = centres[rng.integers(len(centres), size=count)] + 0.6 * rng.normal(size=(count, 24))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def shop(count: int, **near: int) -> tuple[Shop, Floats]:
    """Return a shop with room for twice as many texts, of which the first have come, and all texts."""
    texts = clustered(2 * count)
    made = Shop(np.random.default_rng(1).permutation(2 * count).astype(np.uint64), texts.shape[1], **near)
    made.vectors[:count] = texts[:count]
    made.settle(np.arange(count))
    return made, texts


@given(st.integers(0, 10_000), st.lists(st.sets(st.integers(0, 11), min_size=1), max_size=6))
@settings(deadline=None, max_examples=60)
def test_few_texts_are_compared_exactly_and_ties_go_to_the_lower_key(
    seed: int, changes: list[set[int]]
) -> None:
    rng = np.random.default_rng(seed)
    made = Shop(rng.permutation(12).astype(np.uint64), 2)
    for change in changes:
        changed = np.array(sorted(change))
        angles = rng.integers(0, 16, len(changed)) * np.pi / 8  # few, so that there are ties
        there = rng.random(len(changed)) < 0.8
        made.vectors[changed] = np.stack([np.cos(angles), np.sin(angles)], axis=1) * there[:, None]
        made.update(changed)
        akin, likeness = made.expected()
        assert made.near.akin.tolist() == akin.tolist()
        assert made.near.likeness.tolist() == likeness.tolist()


def test_with_an_index_nearly_all_are_found_while_texts_come_change_and_go() -> None:
    made, texts = shop(600, exact_below=200)
    rng = np.random.default_rng(2)
    for start in range(600, 1200, 60):
        gone, changed = np.split(rng.choice(start, 60, replace=False), 2)
        came = np.arange(start, start + 60)
        made.vectors[gone] = 0
        made.vectors[changed] = clustered(30, seed=start)
        made.vectors[came] = texts[came]
        made.settle(np.concatenate([gone, changed, came]))
        named = made.near.akin[made.near.akin >= 0]
        assert made.with_text[named].all()
        assert (made.near.akin[~made.with_text] == -1).all()
    assert made.recall() >= 0.95


def test_the_cosines_of_the_index_are_those_of_an_exact_search() -> None:
    made, _ = shop(400, exact_below=200)
    akin, likeness = made.expected()
    same = (made.near.akin == akin).all(axis=1)
    assert same.mean() > 0.9
    np.testing.assert_array_equal(made.near.likeness[same], likeness[same])


def test_lists_are_exact_up_to_the_border_and_again_with_half_as_many() -> None:
    made, texts = shop(300, exact_below=301)
    assert made.near.akin.tolist() == made.expected()[0].tolist()
    made.vectors[300:400] = texts[300:400]
    made.settle(np.arange(300, 400))
    made.vectors[149:] = 0
    made.settle(np.arange(149, 400))
    assert made.near.akin.tolist() == made.expected()[0].tolist()


def test_a_list_outlives_more_losses_than_are_kept_to_spare() -> None:
    made, _ = shop(400, exact_below=200)
    for _ in range(near_texts.SPARE + 2):
        nearest_ones = made.near.akin[:20, 0]
        gone = np.unique(nearest_ones[nearest_ones >= 20]).astype(np.intp)
        made.vectors[gone] = 0
        made.settle(gone)
    assert (made.near.akin[:20] >= 0).all()
    assert made.recall() >= 0.95


def test_a_far_text_does_not_take_the_place_of_a_spare_one_that_went(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_texts, "SEARCHED_ANEW", 0)
    made = Shop(np.arange(251, dtype=np.uint64), 2, exact_below=100)
    angles = np.append(0.005 * np.arange(250), 0.005 * 50.5)
    made.vectors[:] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    far, made.vectors[250] = made.vectors[250].copy(), 0
    made.settle(np.arange(250))
    for changed, vector in ((np.arange(1, 11), 0), (np.array([250]), far), (np.arange(11, 17), 0)):
        made.vectors[changed] = vector
        made.settle(changed)
    assert made.near.akin[0].tolist() == [17, 18, 19, 20, 21]


def test_others_are_searched_for_in_turns_so_that_what_was_missed_mends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near_texts, "OFFERED", COUNT + 2)
    reached = []
    for anew in (0, 10):
        monkeypatch.setattr(near_texts, "SEARCHED_ANEW", anew)
        made, texts = shop(400, exact_below=200)
        for came in np.split(np.arange(400, 800), 8):
            made.vectors[came] = texts[came]
            made.settle(came)
        reached.append(made.recall())
    assert reached[0] < 0.9
    assert reached[1] >= 0.95


@pytest.mark.parametrize("exact_below", [200, 10_000])
def test_texts_beyond_a_limit_wait_as_if_there_were_none(exact_below: int) -> None:
    made, texts = shop(300, exact_below=exact_below, at_once=40)
    came = np.arange(300, 400)
    made.vectors[came] = texts[came]
    made.update(came)
    assert made.near.waiting >= 60
    assert (made.near.akin[340:] == -1).all()
    assert made.near.akin.max() < 340
    # One of those that wait goes before its turn comes.
    made.vectors[399] = 0
    made.settle(np.array([399]))
    assert made.near.waiting == 0
    assert (made.near.akin[399] == -1).all()
    assert made.recall() >= 0.95


@pytest.mark.parametrize("exact_below", [100, 10_000])
@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_what_is_zero_or_not_finite_is_nobodys_neighbour(exact_below: int, value: float) -> None:
    made, _ = shop(200, exact_below=exact_below)
    made.vectors[10] = 0
    made.vectors[10, 3] = value
    made.settle(np.array([10]))
    assert 10 not in made.near.akin
    assert (made.near.akin[10] == -1).all()
    assert np.isfinite(made.near.likeness).all()


def test_items_that_come_later_are_appended() -> None:
    made, texts = shop(300, exact_below=200)
    made.keys = np.arange(3000, dtype=np.uint64)
    made.vectors = np.concatenate([made.vectors, np.zeros((2400, texts.shape[1]), np.float16)])
    made.vectors[2999] = made.vectors[0]
    made.settle(np.array([2999]))
    assert made.near.akin.shape == made.near.likeness.shape == (3000, COUNT)
    assert made.near.akin[0, 0] == 2999
    assert made.near.akin[2999, 0] == 0


def test_texts_of_another_width_may_replace_all() -> None:
    made, _ = shop(300, exact_below=200)
    made.vectors = np.asarray(clustered(600, seed=7)[:, :12], np.float16)
    made.settle(np.arange(600))
    assert made.recall() >= 0.95


def test_nothing_changed_is_nothing_told() -> None:
    made, _ = shop(300, exact_below=200)
    assert made.near.update(made.keys, made.vectors, NOTHING).tolist() == []
    assert NearTexts().update(made.keys[:0], made.vectors[:0], NOTHING).tolist() == []


@pytest.mark.parametrize("exact_below", [100, 10_000])
def test_lists_of_an_earlier_process_stand_until_their_items_are_searched_for(exact_below: int) -> None:
    before, texts = shop(300, exact_below=exact_below)
    after = Shop(before.keys, texts.shape[1], exact_below=exact_below, at_once=40)
    after.vectors[:300] = texts[:300]
    after.vectors[7] = 0
    after.near.recall(before.near.akin, before.near.likeness)
    with_text = np.delete(np.arange(300), 7)
    after.update(with_text)
    assert after.near.waiting >= 259
    assert after.recall() >= (0.95 if exact_below == 100 else 0.8)
    after.settle(NOTHING)
    assert after.recall() >= 0.95
    assert (after.near.akin[7] == -1).all()
    assert 7 not in after.near.akin


def test_a_new_text_is_searched_for_at_once_while_many_others_wait() -> None:
    before, texts = shop(300, exact_below=100)
    made = Shop(before.keys, texts.shape[1], exact_below=100, at_once=40)
    made.vectors[:300] = texts[:300]
    made.near.recall(before.near.akin, before.near.likeness)
    made.update(np.arange(300))
    made.update(NOTHING)
    made.vectors[599] = made.vectors[5]
    made.update(np.array([599]))
    assert made.near.waiting >= 180
    assert made.near.akin[599, 0] == 5
    assert made.near.akin[5, 0] == 599
    made.settle(NOTHING)
    assert made.recall() >= 0.95
