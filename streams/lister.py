"""Lists: from user rows and the Catalogue to what stands in Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import numpy.typing as npt

from models import asking, fusion, rank, scorers
from models.candidates import gather
from models.fusion import Fusion
from models.places import Numbering
from state import users
from state.catalogue import NONE, Catalogue
from state.lists import ListItem, PopularItem, PopularList, UserList, timestamp
from state.users import UserRow
from state.verdicts import LIST_LENGTH
from streams.judge import Served

MODEL = f"afresh-{version('afresh')}"


DIGITS = 4
"""Decimals of a score: more would make the lists longer and tell nobody anything."""

NOTHING_SERVED = Served(
    np.empty(0, np.int32),
    np.empty((0, 2 * len(scorers.NAMES)), np.float32),
    np.zeros(len(fusion.CONTEXT)),
    np.empty(0, np.int32),
    np.empty(0, np.int32),
)
"""The list while the catalogue is empty."""

NO_WEIGHTS = np.zeros(NOTHING_SERVED.features.shape[1])


@dataclass(frozen=True)
class Marked:
    """A user to make a list for.

    Attributes
    ----------
    user, row
        The user as of now.
    partition
        Partition that owns the row.
    received
        When Kafka took the newest event that the row takes in, in ms.
    """

    user: str
    partition: int
    row: UserRow
    received: int


@dataclass(frozen=True)
class Scored:
    """The candidates of a user's list.

    Attributes
    ----------
    candidates
        Catalogue rows, in the order of the items' keys, shape (C,).
    features
        What the scorers say, float32, shape (C, F).
    situation
        Context of the user, shape (4,).
    weights
        Of the features, shape (F,).
    excluded
        Catalogue rows that the list may not hold, whatever they score.
    """

    candidates: npt.NDArray[np.int32]
    features: npt.NDArray[np.float32]
    situation: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    excluded: npt.NDArray[np.int32]

    def fused(self) -> npt.NDArray[np.float32]:
        """Return the final score of every candidate, shape (C,)."""
        return np.asarray(self.features @ self.weights.astype(np.float32))


class Lister:
    """Makes lists.

    Parameters
    ----------
    catalogue
        What to choose from.
    size
        Items in a list.
    repeats
        Whether lists may hold what their users have taken before.
    now
        Clock, seconds since 1970.
    without
        Scorers left out.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        size: int,
        *,
        repeats: bool = False,
        now: Callable[[], float] = time.time,
        without: Collection[str] = (),
    ) -> None:
        self._catalogue = catalogue
        self._size = size
        self._repeats = repeats
        self._now = now
        self._without = without
        self._numbering = Numbering()

    def make(self, marked: Sequence[Marked], learned: Sequence[Fusion]) -> list[tuple[UserList, Served]]:
        """Make the lists of some users, each with the fusion of the user's partition."""
        if not self._catalogue.available.any():
            return [(self._list(each, NOTHING_SERVED, NO_WEIGHTS), NOTHING_SERVED) for each in marked]
        return [self._make(each, fused) for each, fused in zip(marked, learned, strict=True)]

    def _make(self, marked: Marked, learned: Fusion) -> tuple[UserList, Served]:
        scored = self.score(marked.row, learned)
        depth = max(fusion.CANDIDATES, self._size)
        (best,) = rank.top(scored.fused()[None], np.zeros(len(scored.candidates), np.bool_), depth)
        best = best[best != NONE]
        chosen = scored.candidates[best]
        served = Served(
            chosen,
            scored.features[best],
            scored.situation,
            chosen[: self._size],
            self._popular(scored.excluded),
            learned.examples,
        )
        return self._list(marked, served, scored.weights), served

    def score(self, row: UserRow, learned: Fusion) -> Scored:
        """Score the candidates of a user's list."""
        user = self._user(row)
        asked = asking.Asked(user, self._catalogue.items(), self._numbering)
        excluded = self._excluded(row)
        candidates = gather(asked, excluded)
        features = fusion.features(scorers.score(asked, candidates, self._without))
        gap = user.ages[1] if len(user.ages) > 1 else np.nan
        (situation,) = fusion.context(np.array([user.taken]), np.array([gap]))
        (weights,) = learned.weights(situation[None])
        return Scored(candidates, features, situation, weights, excluded)

    def _user(self, row: UserRow) -> asking.User:
        history = self._catalogue.rows_of(users.history_of(row))
        return asking.User(history, users.ages_of(row), row.taken, self._catalogue.now)

    def _excluded(self, row: UserRow) -> npt.NDArray[np.int32]:
        halves = users.left_out_of(row, own=not self._repeats)
        return np.array(self._catalogue.rows_of_halves(halves.tolist()), np.int32)

    def _popular(self, excluded: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """What a list of the most popular items would be."""
        items = self._catalogue.items()
        head = items.heads[0]
        left = head[items.available[head] & ~np.isin(head, excluded)]
        return np.asarray(left[:LIST_LENGTH])

    def _list(self, marked: Marked, served: Served, weights: npt.NDArray[np.float64]) -> UserList:
        parts = fusion.parts(weights, served.features[: self._size])
        rounded = np.round(parts.astype(np.float64), DIGITS)
        scores = np.round(rounded.sum(axis=1), DIGITS).tolist()
        items = [
            ListItem(self._catalogue.ids[row], score, dict(zip(scorers.NAMES, part, strict=True)))
            for row, score, part in zip(served.candidates.tolist(), scores, rounded.tolist(), strict=False)
        ]
        row = marked.row
        return UserList(
            row.since, row.revision, timestamp(self._now()), marked.user, row.last_event, MODEL, items
        )

    def popular(self) -> list[PopularList]:
        """Make the popular list of every domain."""
        counts = self._catalogue.popularity()
        keys = self._catalogue.items().keys
        made_at = timestamp(self._now())
        lists = []
        for domain, rows in self._catalogue.domains().items():
            rows = rows[np.argsort(keys[rows])]
            best = rows[np.argsort(-counts[rows], kind="stable")[: self._size]]
            items = [
                PopularItem(self._catalogue.ids[row], round(float(counts[row]), 4)) for row in best.tolist()
            ]
            lists.append(PopularList(0, 0, made_at, domain, items))
        return lists
