import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afresh.models.relations import texts
from afresh.models.relations.texts import nearest

EMBEDDINGS = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [-1, 0], [0, 0]], np.float32)


def found(embeddings: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    size = len(embeddings)
    none = np.full((size, count), -1, np.int32), np.zeros((size, count), np.float32)
    return nearest(embeddings, *none, np.ones(size, bool))


def test_the_nearest_come_first_and_items_without_a_like_text_have_none() -> None:
    akin, likeness = found(EMBEDDINGS, 3)
    assert akin.tolist() == [[1, 2, -1], [2, 0, -1], [1, 0, -1], [-1, -1, -1], [-1, -1, -1]]
    np.testing.assert_allclose(likeness[0], [0.8, 0.6, 0], rtol=1e-6)


def test_equal_texts_come_in_the_order_of_their_indices() -> None:
    akin, _ = found(np.repeat(EMBEDDINGS[:1], 6, axis=0), 2)
    assert akin.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1], [0, 1]]


@given(st.integers(0, 10_000), st.lists(st.sets(st.integers(0, 11), min_size=1), max_size=6))
@settings(deadline=None)
def test_updating_changed_items_equals_a_search_from_nothing(seed: int, changes: list[set[int]]) -> None:
    rng = np.random.default_rng(seed)
    embeddings = np.zeros((12, 2), np.float32)
    akin, likeness = found(embeddings, 3)
    for change in changes:
        changed = np.zeros(12, bool)
        changed[list(change)] = True
        angles = rng.integers(0, 16, 12) * np.pi / 8  # few, so that there are ties
        vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (rng.random(12) < 0.8)[:, None]
        embeddings[changed] = vectors[changed]
        akin, likeness = nearest(embeddings, akin, likeness, changed)
    expected = found(embeddings, 3)
    assert akin.tolist() == expected[0].tolist()
    np.testing.assert_array_equal(likeness, expected[1])


def test_the_size_of_the_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    embeddings = rng.normal(size=(50, 8)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    whole = found(embeddings, 5)
    monkeypatch.setattr(texts, "BLOCK", 7)
    for one, other in zip(found(embeddings, 5), whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_there_may_be_fewer_items_than_places() -> None:
    assert found(EMBEDDINGS[:2], 4)[0].tolist() == [[1, -1, -1, -1], [0, -1, -1, -1]]
    assert found(EMBEDDINGS[:0], 4)[0].shape == (0, 4)


def test_cosines_at_the_border_of_rounding_are_the_same_however_items_come() -> None:
    """Products of other shapes differ in their last bits, and these decide the fourth decimal at the border."""
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(4000, 64)) + rng.normal(size=64)
    pool = (pool / np.linalg.norm(pool, axis=1, keepdims=True)).astype("<f2").astype(np.float32)
    exact = pool.astype(np.float64) @ pool[0]
    near = np.argsort(np.abs(exact * 10_000 % 1 - 0.5))[:40]
    embeddings = np.concatenate([pool[near], pool[:1]])
    whole = found(embeddings, 40)
    growing, result = np.zeros_like(embeddings), found(np.zeros_like(embeddings), 40)
    for each in range(len(embeddings)):
        growing[each] = embeddings[each]
        result = nearest(growing, *result, np.arange(len(embeddings)) == each)
    for one, other in zip(result, whole, strict=True):
        np.testing.assert_array_equal(one, other)
    cosines = np.round(embeddings[:-1].astype(np.float64) @ embeddings[-1], texts.DECIMALS)
    np.testing.assert_array_equal(np.sort(whole[1][-1]), np.sort(cosines.astype(np.float32)))
