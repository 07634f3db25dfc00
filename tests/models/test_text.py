import numpy as np
import pytest

from models.text import scores


def unit(vectors: list[list[float]]) -> np.ndarray:
    array = np.array(vectors, np.float32)
    return np.asarray(array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1e-9))


EMBEDDINGS = unit([[1, 0], [1, 1], [-1, 0], [0, 0]])


def test_the_score_is_the_cosine_with_the_weighted_mean_of_the_history() -> None:
    raw = scores(np.array([[0, 1]], np.int32), np.array([[1.0, 0.5]], np.float32), EMBEDDINGS)
    profile = EMBEDDINGS[0] + 0.5 * EMBEDDINGS[1]
    expected = EMBEDDINGS @ profile / np.linalg.norm(profile)
    np.testing.assert_allclose(raw[0], np.maximum(expected, 0), rtol=1e-5)


def test_an_unlike_item_scores_0_and_not_less() -> None:
    raw = scores(np.array([[0]], np.int32), np.ones((1, 1), np.float32), EMBEDDINGS)
    assert raw[0, 2] == 0


@pytest.mark.parametrize("history", [[-1, -1], [3, -1]])
def test_without_any_known_text_every_item_scores_0(history: list[int]) -> None:
    raw = scores(np.array([history], np.int32), np.ones((1, 2), np.float32), EMBEDDINGS)
    assert raw.tolist() == [[0, 0, 0, 0]]


def test_an_empty_place_of_the_history_counts_nothing_whatever_its_weight() -> None:
    raw = scores(np.array([[0, -1]], np.int32), np.array([[1, 9]], np.float32), EMBEDDINGS)
    np.testing.assert_allclose(
        raw, scores(np.array([[0]], np.int32), np.ones((1, 1), np.float32), EMBEDDINGS)
    )
