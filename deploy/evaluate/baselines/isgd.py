"""ISGD: matrix factorisation learned from positive events alone, one step an event.

Vinagre, Jorge and Gama (2014), Fast incremental matrix factorization for recommendation with positive-only feedback,
UMAP, algorithm 2: every event says that the product of its user's and its item's factors is 1, and items are ranked by
how near to 1 theirs is.
"""

from __future__ import annotations

import numpy as np

from afresh.deploy.evaluate.baseline import Scores, Taken
from afresh.models.arrays import Doubles

FACTORS = 50
LEARNING_RATE = 0.05
REGULARISATION = 0.1
"""Chosen by HR@10 on the first half of MovieLens 100K, its last half evaluated; see ``tests.benchmarks.tune``."""

SPREAD = 0.1
"""Deviation of the factors of what is new, as in the paper."""


class Factors:
    """Rows of factors, random at first."""

    def __init__(self, width: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._width = width
        self._rows = np.empty((0, width))
        self._count = 0

    def of(self, count: int) -> Doubles:
        """Have at least so many rows, and return all."""
        if count > len(self._rows):
            more = self._random.normal(
                0, SPREAD, (max(count, 2 * self._count) - len(self._rows), self._width)
            )
            self._rows = np.concatenate([self._rows, more])
        self._count = max(self._count, count)
        return self._rows[: self._count]


class ISGD:
    """The model.

    Parameters
    ----------
    factors, learning_rate, regularisation
        k, eta and lambda of the paper.
    """

    def __init__(self, factors: int, learning_rate: float, regularisation: float) -> None:
        self._users = Factors(factors, 1)
        self._items = Factors(factors, 2)
        self._rate = learning_rate
        self._penalty = regularisation

    def learn(self, taken: Taken) -> None:
        """Make one step."""
        user, item = self._users.of(taken.user + 1)[taken.user], self._items.of(taken.item + 1)[taken.item]
        error = 1 - user @ item
        user += self._rate * (error * item - self._penalty * user)
        item += self._rate * (error * user - self._penalty * item)

    def scores(self, user: int, items: int, now: int) -> Scores:
        """Nearness of the predictions to 1."""
        predicted = self._items.of(items)[:items] @ self._users.of(user + 1)[user]
        return np.asarray(-np.abs(1 - predicted))


def make(events: int) -> ISGD:
    """Make one."""
    return ISGD(FACTORS, LEARNING_RATE, REGULARISATION)
