import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from afresh.models.lists.rank import best, first_of, hit_rate, kth_largest, ndcg, rank_of, strongest

few_values = st.sampled_from([-1.0, 0.0, 0.5, 2.0])
rows = hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 12)), elements=few_values)


def reference_strongest(row: list[float], k: int) -> set[int]:
    return set(sorted(range(len(row)), key=lambda index: (-row[index], index))[:k])


@given(rows, st.integers(1, 14))
def test_strongest_finds_the_k_largest_and_the_first_of_ties(values: np.ndarray, k: int) -> None:
    marked = strongest(values, k)
    for row, mask in zip(values.tolist(), marked, strict=True):
        assert set(np.flatnonzero(mask).tolist()) == reference_strongest(row, k)


scores_with_holes = hnp.arrays(
    np.float32, st.integers(0, 40), elements=st.sampled_from([-1.0, 0.0, 0.5, np.nan, np.inf, -np.inf])
)


@given(scores_with_holes, st.integers(0, 12))
def test_a_list_holds_the_best_items_in_order_of_score_then_index(scores: np.ndarray, k: int) -> None:
    allowed = [index for index, score in enumerate(scores.tolist()) if score > -math.inf]
    expected = sorted(allowed, key=lambda index: (-scores[index], index))[:k]
    assert best(scores, k).tolist() == expected


@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.0, math.nan]), min_size=1, max_size=9),
    st.integers(0, 8),
    st.integers(0, 2**9 - 1),
)
def test_a_rank_counts_every_candidate_that_does_not_score_strictly_lower(
    scores: list[float], taken: int, bits: int
) -> None:
    taken %= len(scores)
    candidates = [bool(bits >> index & 1) for index in range(len(scores))]
    rank = rank_of(np.array(scores), taken, np.array(candidates))
    others = [score for index, score in enumerate(scores) if candidates[index] and index != taken]
    ahead = sum(not score < scores[taken] for score in others)
    assert rank == (ahead if candidates[taken] else None)


def test_ties_in_a_list_count_against_the_model() -> None:
    assert rank_of(np.zeros(12), 0, np.ones(12, bool)) == 11


def test_an_item_whose_score_is_nan_comes_last() -> None:
    assert rank_of(np.array([np.nan, 1.0, 0.0]), 0, np.ones(3, bool)) == 2


def test_a_nan_elsewhere_counts_against_the_model() -> None:
    assert rank_of(np.array([1.0, np.nan, 0.0]), 0, np.ones(3, bool)) == 1


@pytest.mark.parametrize(
    ("rank", "hit", "gain"), [(0, 1, 1), (9, 1, 1 / math.log2(11)), (10, 0, 0), (None, 0, 0)]
)
def test_metrics_of_a_rank(rank: int | None, hit: float, gain: float) -> None:
    assert hit_rate(rank) == hit
    assert ndcg(rank) == pytest.approx(gain)


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=1, max_size=80), st.integers(1, 80))
def test_the_kth_largest_is_that_of_the_sorted_numbers(drawn: list[float], k: int) -> None:
    values = np.array(drawn, np.float32)
    k = min(k, len(values))
    assert kth_largest(values, k) == np.sort(values)[-k]


@given(st.lists(st.one_of(finite, st.integers(-2, 2)), max_size=80), st.integers(0, 80))
def test_of_finite_scores_the_compiled_form_finds_the_same_list(drawn: list[float], k: int) -> None:
    scores = np.array(drawn, np.float32)
    assert first_of(scores, k).tolist() == best(scores, k).tolist()
