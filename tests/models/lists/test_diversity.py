import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.arrays import Floats
from afresh.models.lists.diversity import maximal_marginal_relevance, similarity


def candidates(seed: int, count: int = 20) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    texts = rng.normal(size=(count, 8)).astype(np.float32)
    return rng.normal(size=count).astype(np.float32), similarity(texts, rng.random((count, 5), np.float32))


@given(st.integers(0, 50), st.floats(0, 1), st.integers(0, 30))
def test_every_item_is_chosen_once_and_the_best_comes_first(seed: int, diversity: float, k: int) -> None:
    scores, alike = candidates(seed)
    chosen = maximal_marginal_relevance(scores, alike, diversity, k)
    assert len(set(chosen.tolist())) == len(chosen) == min(k, len(scores))
    if len(chosen) and diversity < 1:
        assert chosen[0] == scores.argmax()


@given(st.integers(0, 50))
def test_without_diversity_the_order_is_that_of_the_scores(seed: int) -> None:
    scores, alike = candidates(seed)
    assert maximal_marginal_relevance(scores, alike, 0.0, 20).tolist() == np.argsort(-scores).tolist()


def test_more_diversity_makes_items_less_alike() -> None:
    means = []
    for diversity in (0.0, 0.3, 0.7, 1.0):
        within = []
        for seed in range(20):
            scores, alike = candidates(seed, 50)
            chosen = maximal_marginal_relevance(scores, alike, diversity, 10)
            within.append(alike[np.ix_(chosen, chosen)].mean())
        means.append(float(np.mean(within)))
    assert means == sorted(means, reverse=True)


def test_the_likeness_of_items_is_the_largest_over_all_blocks() -> None:
    texts = np.array([[1, 0], [1, 0], [0, 0]], np.float32)
    vectors = np.array([[1, 0], [0, 1], [0, 2]], np.float32)
    assert similarity(texts, vectors).tolist() == [[1, 1, 0], [1, 1, 1], [0, 1, 1]]


def test_equal_scores_give_the_least_alike_items() -> None:
    alike = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]], np.float32)
    assert maximal_marginal_relevance(np.zeros(3, np.float32), alike, 0.5, 2).tolist() == [0, 2]
    assert maximal_marginal_relevance(np.zeros(0, np.float32), alike[:0, :0], 0.5, 2).tolist() == []
