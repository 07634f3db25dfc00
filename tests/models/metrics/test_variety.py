from __future__ import annotations

import numpy as np
import pytest

from afresh.models.metrics import variety


def test_diversity_is_the_mean_distance_over_all_pairs_with_text() -> None:
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(6, 4)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings[5] = 0
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([1 - embeddings[a] @ embeddings[b] for a, b in pairs])
    (distance,) = variety.diversity(np.array([[0, 1, 2, 5, -1]], np.int32), embeddings)
    assert distance == pytest.approx(expected, abs=1e-6)


def test_lists_of_unknown_items_are_novel_and_lists_of_the_head_are_not() -> None:
    counts = np.array([1000, *[1] * 99])
    head, tail = variety.novelty(np.array([[0, -1], [1, 2]], np.int32), counts)
    assert head == pytest.approx(-np.log2(1001 / (1099 + 100)))
    assert tail == pytest.approx(-np.log2(2 / (1099 + 100)))
    assert variety.head(np.array([[0, 1], [1, 2]], np.int32), counts).tolist() == [0.5, 0.0]


def test_measures_of_an_empty_list_are_nan() -> None:
    empty = np.array([[-1, -1]], np.int32)
    assert np.isnan(variety.novelty(empty, np.array([1, 2]))).all()
    assert np.isnan(variety.diversity(empty, np.eye(2, dtype=np.float32))).all()
    assert variety.coverage(empty, 2) == 0.0
