"""Ranking: the strongest values of a row, lists made from scores, and the metrics of a list.

One rule holds for ties everywhere. When a list is made, a tie goes to the lower index. When it is judged, a tie counts
against the model.
"""

from __future__ import annotations

import math

import numpy as np

from afresh.models.arrays import Floats, Indices, Mask, Reals
from afresh.models.compiled import compiled

LONG = 10
"""With more scores than this many list lengths it is faster to find the strongest first than to sort all scores."""


def strongest(values: Reals, k: int) -> Mask:
    """Find the ``k`` largest values of every row, exactly ``k`` in each row. Ties go to the lower column.

    Parameters
    ----------
    values
        Shape (R, C), no NaN, C >= k >= 1.

    Returns
    -------
    Mask of the values found, shape (R, C).

    Examples
    --------
    >>> strongest(np.array([[1.0, 3.0, 1.0, 2.0]]), 3).tolist()
    [[True, True, False, True]]
    """
    if values.shape[1] <= k:
        return np.ones(values.shape, np.bool_)
    threshold = np.partition(values, -k, axis=1)[:, [-k]]
    found = np.asarray(values >= threshold)
    tied = np.flatnonzero(np.count_nonzero(found, axis=1) > k)
    if len(tied):
        # argpartition would break ties by memory layout, and the same scores would give different lists.
        found[tied] = _first_of_ties(values[tied], threshold[tied], k)
    return found


def _first_of_ties(values: Reals, threshold: Reals, k: int) -> Mask:
    above, equal = values > threshold, values == threshold
    places_left = k - np.count_nonzero(above, axis=1, keepdims=True)
    return np.asarray(above | (equal & (np.cumsum(equal, axis=1, dtype=np.int32) <= places_left)))


def best(scores: Reals, k: int) -> Indices:
    """Make a list of the best ``k`` items, best first. Ties go to the lower index.

    Parameters
    ----------
    scores
        Score of each item, shape (N,). An item whose score is NaN or minus infinity is left out.

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


@compiled
def kth_largest(values: Floats, k: int) -> np.float32:
    """Return the k-th largest number, from 1, of at least k that are no NaN; in a third of the time of a partition.

    Turned a little, the bits of numbers are in the order of the numbers. So the bits of the one wanted are found from
    the highest down, some at a time, by counting how many numbers begin in each way.

    Examples
    --------
    >>> float(kth_largest(np.array([0.5, -2.0, 3.0], np.float32), 2))
    0.5
    """
    bits = values.view(np.int32)
    begins = 0
    for shift, width in ((21, 11), (10, 11), (0, 10)):
        counts = np.zeros(1 << width, np.int32)
        for each in bits:
            number = _in_order(each)
            if number >> (shift + width) == begins:
                counts[(number >> shift) & ((1 << width) - 1)] += 1
        digit = (1 << width) - 1
        while k > counts[digit]:
            k -= counts[digit]
            digit -= 1
        begins = (begins << width) | digit
    found = np.empty(1, np.int32)
    found[0] = _in_order(begins - _TURN) - _TURN
    return np.float32(found.view(np.float32)[0])


_TURN = 1 << 31


@compiled
def _in_order(bits: int) -> int:
    """Turn the bits of a float32 into a number from 0 to 2**32 - 1, in the order of the floats."""
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)) + _TURN


@compiled
def first_of(scores: Floats, k: int) -> Indices:
    """Do what ``best`` does, for scores that are all finite, float32."""
    kept = np.empty(min(k, len(scores)), np.int32)
    least = kth_largest(scores, len(kept)) if len(kept) else np.float32(0)
    ties = len(kept)
    for score in scores:
        ties -= score > least
    count = 0
    for place in range(len(scores)):
        tied = scores[place] == least
        if scores[place] > least or (tied and ties > 0):
            ties -= tied
            kept[count] = place
            count += 1
    return kept[np.argsort(-scores[kept], kind="mergesort")]


def rank_of(scores: Reals, taken: int, candidates: Mask) -> int | None:
    """Return the rank of the item taken, from 0. All other candidates come before it unless they score strictly lower.

    Parameters
    ----------
    scores
        Score of each item, shape (N,). A candidate whose score is NaN comes before the item taken. If the score of the
        item taken is NaN, it comes last.
    taken
        Index of the item taken.
    candidates
        Mask of the items that the list could have held, shape (N,).

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
    """Return 1 if the item taken was among the first ``k``, else 0. With one item taken this equals recall@k."""
    return float(rank is not None and rank < k)


def ndcg(rank: int | None, k: int = 10) -> float:
    """Return the NDCG of one item taken: 1 / log2(rank + 2) if it is among the first ``k``, else 0.

    NDCG is the normalised discounted cumulative gain: Järvelin and Kekäläinen (2002), Cumulated gain-based evaluation
    of IR techniques.

    Examples
    --------
    >>> ndcg(0), ndcg(2), ndcg(10), ndcg(None)
    (1.0, 0.5, 0.0, 0.0)
    """
    return 1.0 / math.log2(rank + 2) if rank is not None and rank < k else 0.0
