"""Lists: from user rows and the Catalogue to what stands in Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import numpy.typing as npt

from models import fusion, rank, scorers
from models.fusion import Fusion
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
    """Every item of the Catalogue as it stands for each of U users.

    Attributes
    ----------
    features
        What the scorers say, float32, shape (U, F, N).
    situations
        Context of each user, shape (U, 4).
    weights
        Of the features, shape (U, F).
    excluded
        Items that a user's list may not hold, shape (U, N).
    """

    features: npt.NDArray[np.float32]
    situations: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    excluded: npt.NDArray[np.bool_]

    def fused(self) -> npt.NDArray[np.float32]:
        """Final score of every item, shape (U, N)."""
        return fusion.fuse(self.weights, self.features)


class Lister:
    """Makes lists.

    Parameters
    ----------
    catalogue
        What to choose from.
    size
        Items in a list.
    now
        Clock, seconds since 1970.
    without
        Scorers left out.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        size: int,
        now: Callable[[], float] = time.time,
        without: Collection[str] = (),
    ) -> None:
        self._catalogue = catalogue
        self._size = size
        self._now = now
        self._without = without

    def make(self, marked: Sequence[Marked], learned: Sequence[Fusion]) -> list[tuple[UserList, Served]]:
        """Make the lists of some users, each with the fusion of the user's partition."""
        if not self._catalogue.available.any():
            return [(self._list(each, NOTHING_SERVED, NO_WEIGHTS), NOTHING_SERVED) for each in marked]
        scored = self.score(marked, learned)
        depth = max(fusion.CANDIDATES, self._size)
        candidates = rank.top(scored.fused(), scored.excluded, depth)
        by_popularity = np.argsort(-self._catalogue.popularity(), kind="stable").astype(np.int32)
        made = []
        for u, each in enumerate(marked):
            chosen = candidates[u][candidates[u] != NONE]
            features = np.ascontiguousarray(scored.features[u][:, chosen].T)
            popular = by_popularity[~scored.excluded[u, by_popularity]][:LIST_LENGTH]
            listed = chosen[: self._size]
            served = Served(chosen, features, scored.situations[u], listed, popular, learned[u].examples)
            made.append((self._list(each, served, scored.weights[u]), served))
        return made

    def score(self, marked: Sequence[Marked], learned: Sequence[Fusion]) -> Scored:
        """Score every item for some users, each with the fusion of the user's partition."""
        batch = self._users(marked)
        values = fusion.features(scorers.score(batch, self._catalogue.arrays(), self._without), len(marked))
        situations = fusion.context(batch.lengths, batch.ages[:, 1])
        weights = np.stack([each.weights(situations[u : u + 1])[0] for u, each in enumerate(learned)])
        return Scored(values, situations, weights, self._excluded(marked))

    def _users(self, marked: Sequence[Marked]) -> scorers.Users:
        width = scorers.ASKED
        keys = np.zeros((len(marked), width), np.uint64)
        ages = np.full((len(marked), width), np.nan, np.float32)
        lengths = np.zeros(len(marked), np.int64)
        for u, each in enumerate(marked):
            history = users.history_of(each.row)
            lengths[u] = len(history)
            keys[u, : len(history)] = history[:width]
            ages[u, : len(history)] = users.ages_of(each.row)[:width]
        return scorers.Users(
            history=np.where(keys != 0, self._catalogue.rows_of(keys), NONE).astype(np.int32),
            ages=ages,
            vectors=np.stack([users.vectors_of(each.row) for each in marked]),
            lengths=lengths,
            now_ms=self._catalogue.now,
        )

    def _excluded(self, marked: Sequence[Marked]) -> npt.NDArray[np.bool_]:
        excluded = np.tile(~self._catalogue.available, (len(marked), 1))
        for u, each in enumerate(marked):
            excluded[u, self._catalogue.rows_of_halves(users.seen_of(each.row).tolist())] = True
        return excluded

    def _list(self, marked: Marked, served: Served, weights: npt.NDArray[np.float64]) -> UserList:
        (parts,) = fusion.parts(weights[None], served.features[: self._size].T[None])
        rounded = np.round(parts.T.astype(np.float64), DIGITS)
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
        made_at = timestamp(self._now())
        lists = []
        for domain, rows in self._catalogue.domains().items():
            best = rows[np.argsort(-counts[rows], kind="stable")[: self._size]]
            items = [
                PopularItem(self._catalogue.ids[row], round(float(counts[row]), 4)) for row in best.tolist()
            ]
            lists.append(PopularList(0, 0, made_at, domain, items))
        return lists
