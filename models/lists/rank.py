"""Who comes first: the strongest of a row, lists made from scores, and the metrics of a list.

One rule holds everywhere: ties go to the lower index when a list is made, and against the model when it is
judged.
"""

from __future__ import annotations

import math

import numpy as np

from afresh.models.arrays import Indices, Mask, Reals

LONG = 10
"""Lists' lengths from which on it takes longer to sort all scores than to find the strongest first."""


def strongest(values: Reals, k: int) -> Mask:
    """Mark the ``k`` largest values of every row, exactly ``k`` a row; of equal ones those of lower index.

    Parameters
    ----------
    values
        Shape (R, C), no NaN, C >= k >= 1.

    Returns
    -------
    Mask of shape (R, C).

    Examples
    --------
    >>> strongest(np.array([[1.0, 3.0, 1.0, 2.0]]), 3).tolist()
    [[True, True, False, True]]
    """
    if values.shape[1] <= k:
        return np.ones(values.shape, np.bool_)
    threshold = np.partition(values, -k, axis=1)[:, [-k]]
    marked = np.asarray(values >= threshold)
    tied = np.flatnonzero(np.count_nonzero(marked, axis=1) > k)
    if len(tied):
        # argpartition would break ties by memory layout, and lists would differ between runs
        marked[tied] = _first_of_ties(values[tied], threshold[tied], k)
    return marked


def _first_of_ties(values: Reals, threshold: Reals, k: int) -> Mask:
    above, equal = values > threshold, values == threshold
    places_left = k - np.count_nonzero(above, axis=1, keepdims=True)
    return np.asarray(above | (equal & (np.cumsum(equal, axis=1, dtype=np.int32) <= places_left)))


def best(scores: Reals, k: int) -> Indices:
    """Make a list: the best ``k`` items, best first, of equal ones that of lower index first.

    Parameters
    ----------
    scores
        Shape (N,). An item whose score is NaN or minus infinity is left out.

    Returns
    -------
    Indices of items, int32, shape (at most k,).

    Examples
    --------
    >>> best(np.array([0.1, 0.9, 0.9, np.nan]), 4).tolist()
    [1, 2, 0]
    """
    places = np.flatnonzero(scores > -np.inf)
    if 0 < LONG * k < len(places):
        places = places[strongest(scores[places][None], k)[0]]
    order = np.argsort(-scores[places], kind="stable")[:k]
    return places[order].astype(np.int32)


def rank_of(scores: Reals, taken: int, candidates: Mask) -> int | None:
    """Rank of the item taken, from 0; every other candidate not scored strictly lower comes before it.

    Parameters
    ----------
    scores
        Shape (N,). A candidate whose score is NaN comes before the item taken, and an item taken whose
        score is NaN comes last.
    candidates
        Items that the list could have held, shape (N,).

    Returns
    -------
    The rank, or None if the item taken was no candidate.

    Examples
    --------
    >>> rank_of(np.array([0.5, 0.5, 0.1]), 0, np.array([True, True, True]))
    1
    """
    if not candidates[taken]:
        return None
    lower = scores < scores[taken]
    return int(np.count_nonzero(candidates & ~lower)) - 1


def hit_rate(rank: int | None, k: int = 10) -> float:
    """Return 1 if the item taken was among the first ``k``, else 0; with one item taken this is recall@k."""
    return float(rank is not None and rank < k)


def ndcg(rank: int | None, k: int = 10) -> float:
    """Normalised discounted cumulative gain of one item taken: 1 / log2(rank + 2) within the first ``k``.

    Järvelin and Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques.

    Examples
    --------
    >>> ndcg(0), ndcg(2), ndcg(10), ndcg(None)
    (1.0, 0.5, 0.0, 0.0)
    """
    return 1.0 / math.log2(rank + 2) if rank is not None and rank < k else 0.0
