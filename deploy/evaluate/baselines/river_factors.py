"""Base of the factor models of ``river.reco``, for events that are positive only.

River's models predict ratings. So each event is learned as a rating of 1, and some items drawn from the catalogue are
learned as a 0. River predicts one pair of user and item at a time. This class computes the same sum for the whole
catalogue at once, from the attributes that river documents.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from afresh.deploy.evaluate.baseline import Scores, Taken
from afresh.state.catalogue.growing import Growing

SEED = 1


class RiverFactors:
    """A river model over numbered users and items.

    Parameters
    ----------
    model
        ``river.reco.BiasedMF`` or ``FunkMF``.
    factors
        Number of factors of the model.
    negatives
        Items learned as 0 with each event.
    """

    def __init__(self, model: Any, factors: int, negatives: int) -> None:
        self._model = model
        self._negatives = negatives
        self._random = np.random.default_rng(SEED)
        self._items = Growing(factors=((factors,), np.float64, 0), bias=((), np.float64, 0))
        self._known = 0

    def learn(self, taken: Taken) -> None:
        """Learn the event as a 1, and some random items as 0."""
        self._reach(taken.item + 1)
        self._learn(taken.user, taken.item, 1.0)
        for item in self._random.integers(self._known, size=self._negatives).tolist():
            if item != taken.item:
                self._learn(taken.user, item, 0.0)

    def _learn(self, user: int, item: int, target: float) -> None:
        self._model.learn_one(user, item, target)
        self._note(item)

    def _reach(self, items: int) -> None:
        for item in range(self._known, items):
            self._items.reach(item + 1)
            self._note(item)
        self._known = max(self._known, items)

    def _note(self, item: int) -> None:
        self._items["factors"][item] = self._model.i_latents[item]
        if hasattr(self._model, "i_biases"):
            self._items["bias"][item] = self._model.i_biases[item]

    def scores(self, user: int, items: int, now: int) -> Scores:
        """Return the predictions without the mean and the user's bias, which are the same for all items."""
        self._reach(items)
        return np.asarray(
            self._items["factors"][:items] @ self._model.u_latents[user] + self._items["bias"][:items]
        )
