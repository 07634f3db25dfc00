"""Popularity: ranks items by how often they were taken, the same for every user."""

from __future__ import annotations

import numpy as np

from afresh.deploy.evaluate.baseline import Scores, Taken
from afresh.state.catalogue.growing import Growing


class Popularity:
    """How often each item was taken since the beginning."""

    def __init__(self) -> None:
        self._counts = Growing(count=((), np.float64, 0))

    def learn(self, taken: Taken) -> None:
        """Count an event."""
        self._counts.reach(taken.item + 1)
        self._counts["count"][taken.item] += 1

    def scores(self, user: int, items: int, now: int) -> Scores:
        """Return the counts so far."""
        self._counts.reach(items)
        return self._counts["count"][:items]


def make(events: int) -> Popularity:
    """Make the model; it has nothing to tune."""
    return Popularity()
