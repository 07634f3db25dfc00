"""ISGD: matrix factorisation learned from positive events alone, one gradient step for each event.

Source: Vinagre, Jorge and Gama (2014), Fast incremental matrix factorization for recommendation with positive-only
feedback, UMAP, algorithm 2. Each event teaches that the dot product of its user's and its item's factors is 1. Items
are ranked by how near to 1 their dot product is.
"""

from __future__ import annotations

import numpy as np

from afresh.deploy.evaluate.baseline import Scores, Taken
from afresh.models.arrays import Doubles

FACTORS = 50
LEARNING_RATE = 0.05
REGULARISATION = 0.1
"""Chosen by HR@10 on the first half of MovieLens 100K: its last half was evaluated; see ``tests.benchmarks.tune``."""

SPREAD = 0.1
"""Standard deviation of the factors of new users and items, as in the paper."""


class Factors:
    """Factors of users or items, one vector each, random at first."""

    def __init__(self, width: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._width = width
        self._rows = np.empty((0, width))
        self._count = 0

    def of(self, count: int) -> Doubles:
        """Grow to at least ``count`` vectors, and return all; shape (vectors, width)."""
        if count > len(self._rows):
            more = self._random.normal(
                0, SPREAD, (max(count, 2 * self._count) - len(self._rows), self._width)
            )
            self._rows = np.concatenate([self._rows, more])
        self._count = max(self._count, count)
        return self._rows[: self._count]


class ISGD:
    """The model; see the module.

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
        """Make one gradient step."""
        user, item = self._users.of(taken.user + 1)[taken.user], self._items.of(taken.item + 1)[taken.item]
        error = 1 - user @ item
        user += self._rate * (error * item - self._penalty * user)
        item += self._rate * (error * user - self._penalty * item)

    def scores(self, user: int, items: int, now: int) -> Scores:
        """Return how near to 1 the predictions are: the negative distances."""
        predicted = self._items.of(items)[:items] @ self._users.of(user + 1)[user]
        return np.asarray(-np.abs(1 - predicted))


def make(events: int) -> ISGD:
    """Make the model with the chosen parameters."""
    return ISGD(FACTORS, LEARNING_RATE, REGULARISATION)
