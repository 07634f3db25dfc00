"""Item-kNN: cosine similarity of items, updated with every event.

Source: Sarwar et al. (2001), Item-based collaborative filtering. The incremental form is that of Miranda and Jorge
(2009), Item-based and user-based incremental collaborative filtering for web recommendations.

Two things are added. Pairs are counted only within the user's last ``WINDOW`` items. A list looks at the user's last
``ASKED`` items, and each counts ``DECAY`` times as much as the next newer one. Without either the model is clearly
worse on streams, and the comparison would not be fair.
"""

from __future__ import annotations

from array import array
from collections import defaultdict, deque

import numpy as np

from afresh.deploy.evaluate.baseline import Scores, Taken
from afresh.state.catalogue.growing import Growing

WINDOW = 20
ASKED = 20
DECAY = 0.8
"""Chosen by HR@10 on the first half of MovieLens 100K: its last half was evaluated; see ``tests.benchmarks.tune``."""


class _Pairs:
    """How often an item was taken with each other item; arrays, because numpy reads them faster than a dict."""

    def __init__(self) -> None:
        self.others, self.counts = array("q"), array("d")
        self._place: dict[int, int] = {}

    def count_pair(self, other: int) -> None:
        """Count one more pair with the item ``other``."""
        place = self._place.setdefault(other, len(self._place))
        if place == len(self.others):
            self.others.append(other)
            self.counts.append(0)
        self.counts[place] += 1


class ItemKNN:
    """The model; see the module."""

    def __init__(self, window: int, asked: int, decay: float) -> None:
        self._asked = asked
        self._decay = decay
        self._history: defaultdict[int, deque[int]] = defaultdict(lambda: deque(maxlen=max(window, asked)))
        self._window = window
        self._pairs: defaultdict[int, _Pairs] = defaultdict(_Pairs)
        self._counts = Growing(count=((), np.float64, 0))

    def learn(self, taken: Taken) -> None:
        """Count the item, and its pairs with the items that the user took before it."""
        self._counts.reach(taken.item + 1)
        self._counts["count"][taken.item] += 1
        history = self._history[taken.user]
        for other in list(history)[: self._window]:
            if other != taken.item:
                self._pairs[taken.item].count_pair(other)
                self._pairs[other].count_pair(taken.item)
        history.appendleft(taken.item)

    def scores(self, user: int, items: int, now: int) -> Scores:
        """Return the summed similarities to the user's last items; newer items weigh more."""
        self._counts.reach(items)
        norms = np.sqrt(np.maximum(self._counts["count"][:items], 1))
        sums = np.zeros(items)
        for lag, item in enumerate(list(self._history[user])[: self._asked]):
            pairs = self._pairs[item]
            sums[np.asarray(pairs.others)] += self._decay**lag / norms[item] * np.asarray(pairs.counts)
        return np.asarray(sums / norms)


def make(events: int) -> ItemKNN:
    """Make the model with the chosen parameters."""
    return ItemKNN(WINDOW, ASKED, DECAY)
