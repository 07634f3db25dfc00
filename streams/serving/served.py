"""ServedList: the lists shown lately, with all that a judge needs of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from afresh.state.lists import PopularList

SERVED_LIMIT = 20_000
"""Users whose newest list is remembered; lists of others are not judged and not learned from."""


@dataclass(frozen=True)
class ServedList:
    """A list as it was served, and what it was chosen from.

    Attributes
    ----------
    candidates
        Catalogue indices of the best candidates, best first, int32, shape (C,).
    features
        Their features at that moment, float32, shape (C, F).
    situation
        Context of the user, of ``models.fusion.fusion``.
    listed
        Catalogue indices of the list as it went to Redis, best first, int32, shape (k,).
    popular
        Catalogue indices of the list that popularity would have served, int32, shape (10,).
    made_at
        Examples that the fusion had counted when it weighed the candidates.
    """

    candidates: npt.NDArray[np.int32]
    features: npt.NDArray[np.float32]
    situation: npt.NDArray[np.float64]
    listed: npt.NDArray[np.int32]
    popular: npt.NDArray[np.int32]
    made_at: int = 0


class ServedLists:
    """The newest list of the users served lately.

    Attributes
    ----------
    nobody
        By domain: the popular list, which is shown to users of whom nothing is known.
    """

    def __init__(self, limit: int = SERVED_LIMIT) -> None:
        self.nobody: dict[str, ServedList] = {}
        self._limit = limit
        self._lists: OrderedDict[str, ServedList] = OrderedDict()

    def remember(self, user: str, served: ServedList) -> None:
        """Remember a user's newest list, at the cost of the user served longest ago."""
        self._lists[user] = served
        self._lists.move_to_end(user)
        if len(self._lists) > self._limit:
            self._lists.popitem(last=False)

    def remember_popular(self, made: Iterable[tuple[PopularList, ServedList]]) -> None:
        """Remember the popular lists in place of those before."""
        self.nobody = {popular.domain: served for popular, served in made}

    def of(self, user: str) -> ServedList | None:
        """Newest list of a user, if it is remembered."""
        return self._lists.get(user)
