"""Judges what an application would have seen: whether the item that a user took was in the list they had.

Each event is judged before it is sent, against the list that Redis holds then, and against popularity counted from
the events sent so far. This module shares no code with the models.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DEPTH = 10
RECENT = 5_000

Ranks = npt.NDArray[np.uint8]
"""Place of each item taken, from 1 to ``DEPTH``; 0 for an item not among the first ``DEPTH``; shape (n,)."""


@dataclass(frozen=True)
class Quality:
    """Accuracy over some events; NaN if there are none.

    Attributes
    ----------
    hit_rate
        HR@10: share of the events whose item was among the first ten.
    ndcg
        NDCG@10 with one relevant item: mean of 1 / log2(1 + place), 0 for an item not among the first ten.
    """

    hit_rate: float
    ndcg: float


def quality(ranks: Ranks) -> Quality:
    """Compute the accuracy from the places of the items taken.

    Examples
    --------
    >>> quality(np.array([1, 0, 3, 0], dtype=np.uint8))
    Quality(hit_rate=0.5, ndcg=0.375)
    """
    if not len(ranks):
        return Quality(float("nan"), float("nan"))
    places = ranks[ranks > 0].astype(np.float64)
    return Quality(len(places) / len(ranks), float((1 / np.log2(1 + places)).sum()) / len(ranks))


def place_in(items: Sequence[str], item: str) -> int:
    """Return the place of ``item`` among the first ten ``items``, from 1; 0 if it is not there.

    Examples
    --------
    >>> place_in(["a", "b"], "b"), place_in(["a", "b"], "c")
    (2, 0)
    """
    head = items[:DEPTH]
    return head.index(item) + 1 if item in head else 0


class MostTaken:
    """Ranks items by the number of their events, without the items that the user has taken.

    Parameters
    ----------
    items
        Ids of the whole catalogue; every item of an event must be among them.
    """

    def __init__(self, items: Sequence[str]) -> None:
        self._indices = {item: index for index, item in enumerate(items)}
        self._counts = np.zeros(len(items), dtype=np.int64)
        self._unseen: dict[str, npt.NDArray[np.bool_]] = {}

    def place(self, user: str, item: str) -> int:
        """Return the place of ``item`` for ``user``, 0 if not among the first ten; tied items come before it."""
        index, unseen = self._indices[item], self._unseen_by(user)
        if not unseen[index]:
            return 0
        place = int(np.count_nonzero((self._counts >= self._counts[index]) & unseen))
        return place if place <= DEPTH else 0

    def take(self, user: str, item: str) -> None:
        """Count an event."""
        self._counts[self._indices[item]] += 1
        self._unseen_by(user)[self._indices[item]] = False

    def _unseen_by(self, user: str) -> npt.NDArray[np.bool_]:
        if user not in self._unseen:
            self._unseen[user] = np.ones(len(self._indices), dtype=np.bool_)
        return self._unseen[user]


class PlayerJudge:
    """Judges the served lists and popularity on the same events.

    Parameters
    ----------
    items
        Ids of the whole catalogue.
    events
        Largest possible number of events.
    """

    def __init__(self, items: Sequence[str], events: int) -> None:
        self._popularity = MostTaken(items)
        self._served = np.zeros(events, dtype=np.uint8)
        self._popular = np.zeros(events, dtype=np.uint8)
        self.judged = 0

    def judge(self, user: str, item: str, served: Sequence[str]) -> int:
        """Judge one event, then count it for popularity; return the item's place in the list served."""
        place = place_in(served, item)
        self._served[self.judged] = place
        self._popular[self.judged] = self._popularity.place(user, item)
        self._popularity.take(user, item)
        self.judged += 1
        return place

    def over(self, start: int = 0, stop: int | None = None) -> tuple[Quality, Quality]:
        """Return the accuracy of the served lists and of popularity on events ``start`` to ``stop`` (default: all)."""
        stop = self.judged if stop is None else stop
        return quality(self._served[start:stop]), quality(self._popular[start:stop])

    def recent(self) -> tuple[Quality, Quality]:
        """Return the accuracy of both on the last 5,000 events."""
        return self.over(max(0, self.judged - RECENT))

    def halves(self) -> tuple[tuple[Quality, Quality], tuple[Quality, Quality]]:
        """Return the accuracy of both on the first half of the events, and on the last half."""
        middle = self.judged // 2
        return self.over(0, middle), self.over(middle)

    def course(self, points: int) -> tuple[list[float], list[float]]:
        """Return the hit rates of both over time: one for each of ``points`` equal stretches, fewer for few events."""
        cuts = np.linspace(0, self.judged, min(points, self.judged) + 1).astype(int)
        stretches = [self.over(start, stop) for start, stop in itertools.pairwise(cuts)]
        return [served.hit_rate for served, _ in stretches], [popular.hit_rate for _, popular in stretches]
