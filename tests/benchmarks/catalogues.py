"""Catalogues of any size to make lists from, made at once and not event by event, and users with a taste.

Items stand in themes of ``THEME`` items within topics of ``TOPIC``. How often they were taken falls off with their rank
as rank**-0.8; one in ten is new and was never taken. Items go together within their theme, within their topic, or
because many take both; texts of a theme lie near each other. What follows from all rows together is derived by
``state.catalogue.derived``, as a worker does, but for the texts nearest each other: comparing a million with a
million would take hours, so that they are looked for within a theme.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from afresh.models.arrays import NONE, Floats, Indices, Integers, Keys, Mask
from afresh.models.layout import HISTORY, NEIGHBOURS, TENURES
from afresh.models.retrieval.asking import AKIN, Items
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.catalogue.derived import CatalogueSnapshot, derive
from afresh.state.rows.users import UserRow

THEME, TOPIC = 50, 1_000
LEVELS = (0.5, 0.8)
"""Of what goes with an item, the shares that are of its theme, and of its topic."""

EXAMPLES = 3
"""Times that the rarest item, but for new ones, was taken."""

NEW = 0.1
NEIGHBOURS_PER_EXAMPLE = 2
MOST_NEIGHBOURS = 32
"""Of a row. A catalogue of a million items has few well-known ones, and derives in minutes."""

TEXT = 384
"""Width of an embedding, that of the default encoder."""

NOW_MS = 1_790_000_000_000
HORIZONS = (1.0, 0.03, 0.003, 0.25)
"""Shares of the events of a month that are of this month, day, two hours and week."""

BYTES_AN_ITEM = 10_000
"""What making a catalogue takes at its height."""

TASTES = 3


class Made(Catalogue):
    """A catalogue of items numbered from 0; the key of one is its number and 1.

    Parameters
    ----------
    items
        All that is known of them.
    """

    def __init__(self, items: Items) -> None:
        super().__init__()
        self._items = items
        self.ids = [f"item-{number}" for number in range(len(items.keys))]
        self.now = NOW_MS

    @property
    def available(self) -> Mask:
        """Whether a list may hold each item, shape (N,)."""
        return self._items.available

    def items(self) -> Items:
        """Everything that the scorers read."""
        return self._items

    def indices_of(self, keys: Keys) -> Indices:
        """Indices of items by key."""
        return (keys.astype(np.int64) - 1).astype(np.int32)

    def indices_of_halves(self, halves: Iterable[int]) -> list[int]:
        """Indices of items by the lower half of their key."""
        return [half - 1 for half in halves]


class World:
    """What there is to take, and what goes with what.

    Parameters
    ----------
    items
        N, a multiple of ``THEME``.
    seed
        Of all that is drawn.
    """

    def __init__(self, items: int, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._count = items
        rank = self._random.permutation(items)
        self._groups = [(size, _by_rank(rank, size)) for size in (THEME, TOPIC, items)]
        taken = EXAMPLES * (items / (rank + 1)) ** 0.8
        taken[self._random.random(items) < NEW] = 0
        self._examples = taken.astype(np.uint32)

    def catalogue(self) -> Made:
        """Make the catalogue."""
        neighbours, weights = self._neighbours()
        embeddings = self._embeddings()
        akin, likeness = _akin(embeddings)
        nothing = np.zeros(self._count, np.bool_)
        snapshot = CatalogueSnapshot(
            updates=1,
            now_ms=NOW_MS,
            keys=np.arange(1, self._count + 1, dtype=np.uint64),
            available=~nothing,
            neighbours=neighbours,
            weights=weights,
            nexts=(0.3 * weights).astype(np.float16),
            mass=weights.sum(axis=1),
            counts=self._counts(),
            count_times=np.full(self._count, NOW_MS),
            embeddings=embeddings,
            akin=akin,
            likeness=likeness,
            changed=nothing,
            waiting=nothing,
        )
        derived = derive(snapshot)
        relations = derived.relations
        items = Items(
            available=snapshot.available,
            keys=snapshot.keys,
            domain=np.zeros(self._count, np.int32),
            examples=self._examples,
            counts=snapshot.counts,
            count_times=snapshot.count_times,
            embeddings=embeddings,
            related=relations.related,
            strengths=relations.strengths,
            followers=derived.followers,
            following=derived.following,
            vectors=relations.vectors,
            mass=relations.mass,
            akin=derived.akin,
            likeness=derived.likeness,
            heads=derived.heads,
            trust=derived.trust,
        )
        return Made(items)

    def users(self, number: int) -> Iterator[UserRow]:
        """Make rows of users with histories of 1 to ``HISTORY`` items, of some tastes each."""
        for _ in range(number):
            length = int(self._random.integers(1, HISTORY + 1))
            tastes = self._groups[-1][1][self._skewed((TASTES,), self._count)]
            took = self._with(tastes, length)[self._random.integers(TASTES, size=length), np.arange(length)]
            # minutes apart, and days after one in ten
            gaps = self._random.exponential(120, length) + 86_400 * (self._random.random(length) < 0.1)
            row = UserRow()
            for item, ago in zip(took.tolist(), np.cumsum(gaps)[::-1].tolist(), strict=True):
                row.take((item + 1).to_bytes(8, "little"), NOW_MS - int(1000 * ago))
            row.revision = row.taken
            yield row

    def _with(self, items: Indices, width: int) -> Indices:
        """What was taken by those who took some items, shape (len(items), width)."""
        shape = (len(items), width)
        level = np.searchsorted(LEVELS, self._random.random(shape), side="right")
        drawn = np.empty(shape, np.int32)
        for number, (size, by_rank) in enumerate(self._groups):
            start = items // size * size
            place = start[:, None] + self._skewed(shape, np.minimum(size, self._count - start)[:, None])
            drawn = np.where(level == number, by_rank[place], drawn)
        return drawn

    def _skewed(self, shape: tuple[int, ...], size: int | Indices) -> Indices:
        """Places in a group, the first ones more often."""
        return np.asarray(self._random.random(shape) ** 2 * size, np.int32)

    def _neighbours(self) -> tuple[Indices, Floats]:
        width = NEIGHBOURS
        drawn = self._with(np.arange(self._count, dtype=np.int32), MOST_NEIGHBOURS)
        kept = np.arange(MOST_NEIGHBOURS) < NEIGHBOURS_PER_EXAMPLE * self._examples[:, None]
        strength = self._random.exponential(size=drawn.shape) * np.sqrt(self._examples)[:, None]
        rows = np.full((self._count, width), NONE, np.int32)
        weights = np.zeros((self._count, width), np.float32)
        rows[:, :MOST_NEIGHBOURS] = np.where(kept, drawn, NONE)
        weights[:, :MOST_NEIGHBOURS] = np.where(kept, strength, 0)
        return rows, weights

    def _counts(self) -> Floats:
        stages = np.full(TENURES, 1 / TENURES)
        shares = np.concatenate([HORIZONS, stages])
        return np.asarray(self._random.poisson(self._examples[:, None] * shares), np.float32)

    def _embeddings(self) -> Floats:
        """Unit vectors round the centre of a theme, which lies near that of its topic; shape (N, ``TEXT``)."""
        numbers = np.arange(self._count)
        vectors = self._random.standard_normal((self._count, TEXT), np.float32)
        for size in (THEME, TOPIC):
            centres = self._random.standard_normal((self._count // size + 1, TEXT), np.float32)
            vectors += centres[numbers // size]
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _by_rank(rank: Integers, size: int) -> Indices:
    """Items of each group of so many, the most popular of it first."""
    return np.asarray(np.lexsort((rank, np.arange(len(rank)) // size)), np.int32)


def _akin(embeddings: Floats) -> tuple[Indices, Floats]:
    """The nearest texts of a theme, nearest first, and their cosines, shape (N, ``AKIN``)."""
    themes = embeddings.reshape(-1, THEME, TEXT)
    cosines = themes @ themes.transpose(0, 2, 1)
    cosines[:, np.arange(THEME), np.arange(THEME)] = -1
    nearest = np.argsort(-cosines, axis=2)[:, :, :AKIN]
    likeness = np.take_along_axis(cosines, nearest, axis=2)
    rows = nearest + THEME * np.arange(len(themes))[:, None, None]
    width = AKIN
    return rows.reshape(-1, width).astype(np.int32), likeness.reshape(-1, width).astype(np.float32)
