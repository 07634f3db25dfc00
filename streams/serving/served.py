"""Served lists: the newest lists of users, with everything that a judge needs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from afresh.models.arrays import Floats
from afresh.models.fusion.features import FEATURES_PER_SCORER
from afresh.state.lists import PopularList
from afresh.streams import metrics

OVERHEAD_BYTES = 1000
"""What Python needs for a remembered list besides its arrays, in bytes: objects, headers of arrays, the user's name."""


@dataclass(frozen=True)
class ServedList:
    """A list as it was served, and the candidates that it was chosen from.

    Attributes
    ----------
    candidates
        Catalogue indices of the best candidates, best first, int32, shape (C,).
    logarithms, roots
        The two features of each scorer for the candidates when the list was made, float32 and float16, shape (C, S).
        Candidates are ranked by logarithms, so that these must not be rounded to ties; roots are only learned from.
    situation
        Context of the user; see ``models.fusion.features``.
    listed
        Catalogue indices of the list as it went to Redis, best first, int32, shape (k,).
    popular
        Catalogue indices of the list that popularity would have served, best first, int32, shape (10,).
    made_with
        Version of the weights that the list was made with.
    broken
        Whether a scorer gave something that is no score. Nothing is learned from such a list.
    """

    candidates: npt.NDArray[np.int32]
    logarithms: npt.NDArray[np.float32]
    roots: npt.NDArray[np.float16]
    situation: npt.NDArray[np.float64]
    listed: npt.NDArray[np.int32]
    popular: npt.NDArray[np.int32]
    made_with: int = 0
    broken: bool = False

    def features(self) -> Floats:
        """Return the features as ``models.fusion.features.features`` gave them, float32, shape (C, F)."""
        candidates, scorers = self.logarithms.shape
        pairs = np.stack([self.logarithms, self.roots], axis=2, dtype=np.float32)
        return pairs.reshape(candidates, FEATURES_PER_SCORER * scorers)

    @property
    def bytes(self) -> int:
        """Memory that the list takes, in bytes."""
        arrays = (
            self.candidates,
            self.logarithms,
            self.roots,
            self.situation,
            self.listed,
            self.popular,
        )
        return OVERHEAD_BYTES + sum(each.nbytes for each in arrays)


class ServedLists:
    """The newest list of each recently served user. Other lists are neither judged nor learned from.

    Parameters
    ----------
    limit_bytes
        Memory that the lists may take, in bytes.

    Attributes
    ----------
    nobody
        Popular list of each domain, which users of whom nothing is known are shown.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.nobody: dict[str, ServedList] = {}
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._lists: OrderedDict[str, ServedList] = OrderedDict()

    def remember(self, user: str, served: ServedList) -> None:
        """Remember a user's newest list; beyond the limit, forget the users served longest ago."""
        before = self._lists.pop(user, None)
        self._lists[user] = served
        self._bytes += served.bytes - (before.bytes if before else 0)
        while self._bytes > self._limit_bytes:
            self._bytes -= self._lists.popitem(last=False)[1].bytes

    def remember_popular(self, made: Iterable[tuple[PopularList, ServedList]]) -> None:
        """Remember the newest popular lists of some domains."""
        self.nobody |= {popular.domain: served for popular, served in made}

    def of(self, user: str) -> ServedList | None:
        """Return the newest list of a user; None if it is not remembered."""
        return self._lists.get(user)

    def report(self) -> None:
        """Set the metrics of the memory."""
        metrics.SERVED_LISTS.set(len(self._lists))
        metrics.SERVED_LISTS_BYTES.set(self._bytes)
