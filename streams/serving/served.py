"""Served lists: the newest lists of users, with everything that a judge needs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from afresh.state.lists import PopularList

SERVED_LIMIT = 20_000
"""Number of users whose newest list is kept for judging. Other lists are neither judged nor learned from."""


@dataclass(frozen=True)
class ServedList:
    """A list as it was served, and the candidates that it was chosen from.

    Attributes
    ----------
    candidates
        Catalogue indices of the best candidates, best first, int32, shape (C,).
    features
        Features of the candidates when the list was made, float32, shape (C, F).
    situation
        Context of the user; see ``models.fusion.fusion``.
    listed
        Catalogue indices of the list as it went to Redis, best first, int32, shape (k,).
    popular
        Catalogue indices of the list that popularity would have served, best first, int32, shape (10,).
    made_at
        Number of examples that the fusion had counted when the list was made.
    """

    candidates: npt.NDArray[np.int32]
    features: npt.NDArray[np.float32]
    situation: npt.NDArray[np.float64]
    listed: npt.NDArray[np.int32]
    popular: npt.NDArray[np.int32]
    made_at: int = 0


class ServedLists:
    """The newest list of each recently served user.

    Attributes
    ----------
    nobody
        Popular list of each domain, which users of whom nothing is known are shown.
    """

    def __init__(self, limit: int = SERVED_LIMIT) -> None:
        self.nobody: dict[str, ServedList] = {}
        self._limit = limit
        self._lists: OrderedDict[str, ServedList] = OrderedDict()

    def remember(self, user: str, served: ServedList) -> None:
        """Remember a user's newest list; beyond the limit, forget the user served longest ago."""
        self._lists[user] = served
        self._lists.move_to_end(user)
        if len(self._lists) > self._limit:
            self._lists.popitem(last=False)

    def remember_popular(self, made: Iterable[tuple[PopularList, ServedList]]) -> None:
        """Replace the popular lists."""
        self.nobody = {popular.domain: served for popular, served in made}

    def of(self, user: str) -> ServedList | None:
        """Return the newest list of a user; None if it is not remembered."""
        return self._lists.get(user)
