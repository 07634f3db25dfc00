"""Popularity: items by how often they were taken, the same for everybody."""

from __future__ import annotations

import numpy as np

from afresh.deploy.evaluate.baseline import Scores, Taken
from afresh.state.catalogue.growing import Growing


class Popularity:
    """Counts of all time."""

    def __init__(self) -> None:
        self._counts = Growing(count=((), np.float64, 0))

    def learn(self, taken: Taken) -> None:
        """Count an event."""
        self._counts.reach(taken.item + 1)
        self._counts["count"][taken.item] += 1

    def scores(self, user: int, items: int, now: int) -> Scores:
        """Counts so far."""
        self._counts.reach(items)
        return self._counts["count"][:items]


def make(events: int) -> Popularity:
    """Make one; there is nothing to tune."""
    return Popularity()
