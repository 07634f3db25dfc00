"""Measures of lists, with confidence intervals. Each list is judged by the one item that the user took next.

With one relevant item for each list, recall equals the hit rate, and average precision equals the reciprocal rank.
They are given under all of their names, so that nobody has to know this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from afresh.models.arrays import Doubles, Integers, Mask

Ranks = Integers
"""Rank of the item taken in each list, from 0, shape (E,); ``MISS`` where the list did not hold it."""


MISS = -1
CONFIDENCE = 0.95


def rank_in_list(items: Sequence[str], scores: Sequence[float], taken: str) -> int:
    """Return the rank of the item taken: its place in the list, plus the later items with the same score or with NaN.

    Examples
    --------
    >>> rank_in_list(["a", "b", "c"], [2.0, 1.0, 1.0], "b"), rank_in_list(["a"], [2.0], "z")
    (2, -1)
    """
    if taken not in items:
        return MISS
    place = items.index(taken)
    own = scores[place]
    # A later item with a higher score was put there on purpose: it is no tie.
    return place + sum(not (score < own or score > own) for score in scores[place + 1 :])


def hit_rate(ranks: Ranks, k: int) -> Doubles:
    """HR@k: 1 if the item taken is among the first k, else 0."""
    return ((ranks >= 0) & (ranks < k)).astype(np.float64)


def recall(ranks: Ranks, k: int) -> Doubles:
    """Recall@k: relevant items among the first k, divided by all relevant items (one)."""
    return hit_rate(ranks, k) / 1


def precision(ranks: Ranks, k: int) -> Doubles:
    """Precision@k: relevant items among the first k, divided by k."""
    return hit_rate(ranks, k) / k


def f1(ranks: Ranks, k: int) -> Doubles:
    """F1@k: 2 P R / (P + R), the harmonic mean of precision and recall of a list; 0 where both are 0."""
    p, r = precision(ranks, k), recall(ranks, k)
    return np.divide(2 * p * r, p + r, out=np.zeros_like(p), where=p + r > 0)


def ndcg(ranks: Ranks, k: int) -> Doubles:
    """NDCG@k: 1 / log2(rank + 2) for a rank from 0 within the first k, else 0; the ideal list has gain 1.

    Järvelin and Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques.

    Examples
    --------
    >>> ndcg(np.array([0, 2, 10, MISS]), 10).tolist()
    [1.0, 0.5, 0.0, 0.0]
    """
    return np.asarray(hit_rate(ranks, k) / np.log2(np.maximum(ranks, 0) + 2))


def reciprocal_rank(ranks: Ranks, k: int) -> Doubles:
    """MRR@k: 1 / (rank + 1) for a rank from 0 within the first k, else 0 (Voorhees 1999, TREC-8)."""
    return np.asarray(hit_rate(ranks, k) / (np.maximum(ranks, 0) + 1))


def average_precision(ranks: Ranks, k: int) -> Doubles:
    """MAP@k: mean of the precision at the rank of each relevant item; with one such item its reciprocal rank."""
    return reciprocal_rank(ranks, k)


MEASURES: dict[str, Callable[[Ranks, int], Doubles]] = {
    "hr": hit_rate,
    "ndcg": ndcg,
    "mrr": reciprocal_rank,
    "recall": recall,
    "precision": precision,
    "f1": f1,
    "map": average_precision,
}


@dataclass(frozen=True)
class Estimate:
    """A mean with its confidence interval; all three are NaN if there was nothing to average."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Means:
    """Means of a measure: over all events, and over users (the mean of each user's own mean)."""

    by_event: Estimate
    by_user: Estimate


class Bootstrap:
    """Confidence intervals by drawing users with replacement.

    Events of one user are alike: to draw events instead would make the intervals too narrow. Efron (1979), Bootstrap
    methods: the interval lies between percentiles of the means of ``rounds`` draws.

    Parameters
    ----------
    users
        The user of each event, as a number, shape (E,).
    rounds
        Number of draws.
    seed
        Seed of the draws.
    """

    def __init__(self, users: Integers, rounds: int, seed: int) -> None:
        _, self._users = np.unique(users, return_inverse=True)
        self._count = int(self._users.max(initial=-1)) + 1
        random = np.random.default_rng(seed)
        draws = random.multinomial(self._count, np.full(self._count, 1 / max(self._count, 1)), rounds)
        self._draws = draws.astype(np.float32)

    def means(self, values: Doubles, among: Mask | None = None) -> Means:
        """Average the values of events, shape (E,), over the events that ``among`` selects (all by default)."""
        chosen = slice(None) if among is None else among
        users = self._users[chosen]
        counts = np.bincount(users, minlength=self._count).astype(np.float64)
        sums = np.bincount(users, values[chosen], minlength=self._count).astype(np.float64)
        own = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
        present = (counts > 0).astype(np.float64)
        return Means(self._estimate(sums, counts), self._estimate(own, present))

    def _estimate(self, sums: Doubles, counts: Doubles) -> Estimate:
        """Divide two sums over users, and estimate the interval of the quotient."""
        if not counts.any():
            return Estimate(float("nan"), float("nan"), float("nan"))
        above, below = self._draws @ sums.astype(np.float32), self._draws @ counts.astype(np.float32)
        drawn = above[below > 0] / below[below > 0]
        low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return Estimate(float(sums.sum() / counts.sum()), float(low), float(high))
