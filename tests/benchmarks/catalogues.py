"""Catalogues of any size, made at once and not event by event, and users with tastes, to make lists for.

* Items form themes of ``THEME`` items, and themes form topics of ``TOPIC`` items.
* The number of times that an item was taken falls with its rank, as rank**-0.8. One item in ten is new and was never
  taken.
* Items go together within a theme, within a topic, or because both are popular.
* The texts of a theme lie near each other.

``state.model.derived`` derives what follows from all item rows, as in a worker. One thing differs. To compare the
texts of a million items with each other would take hours, so the nearest texts are looked for within a theme only.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from afresh.models.arrays import NONE, Floats, Indices, Integers, Keys, Mask, Naturals
from afresh.models.layout import HISTORY, NEIGHBOURS, TENURES
from afresh.models.retrieval.asking import AKIN, Items
from afresh.models.retrieval.codes import coded
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.model.derived import Snapshot, derive
from afresh.state.model.standing import Stands
from afresh.state.model.told import TOLD
from afresh.state.rows.details import UNKNOWN
from afresh.state.rows.users import UserRow

THEME, TOPIC = 50, 1_000
LEVELS = (0.5, 0.8)
"""Cumulative shares of the items that go with an item: up to the first they are of its theme, up to the second of its
topic, beyond it of the whole catalogue."""

EXAMPLES = 3
"""How often the rarest item was taken, apart from new items."""

NEW = 0.1
NEIGHBOURS_PER_EXAMPLE = 2
MOST_NEIGHBOURS = 32
"""Most neighbours of an item. With this limit a catalogue of a million items derives in minutes; most of its items are
little known, and have few neighbours anyway."""

TEXT = 384
"""Width of an embedding, as with the default encoder."""

NOW_MS = 1_790_000_000_000
HORIZONS = (1.0, 0.03, 0.003, 0.25)
"""Shares of a month's events that fall into the last month, day, two hours and week."""

BYTES_AN_ITEM = 10_000
"""Peak memory for each item while a catalogue is made."""

TASTES = 3


FORTH = np.uint64(0x9E3779B97F4A7C15)
"""2**64 divided by the golden ratio: multiples of it lie far from each other (Knuth 1973, section 6.4)."""

BACK = np.uint64(pow(int(FORTH), -1, 2**64))


def key_of(numbers: npt.NDArray[np.integer]) -> Keys:
    """Return the keys of items by their numbers."""
    return np.asarray((numbers.astype(np.uint64) + np.uint64(1)) * FORTH)


class Made(Catalogue):
    """A catalogue of items numbered from 0. Their keys are far from each other, like hashes; see ``key_of``.

    Parameters
    ----------
    items
        Everything that is known of the items.
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
        """Return everything that the scorers read."""
        return self._items

    def indices_of(self, keys: Keys) -> Indices:
        """Return the indices of items, by key."""
        return (keys * BACK - np.uint64(1)).astype(np.int32)

    def indices_of_halves(self, halves: Naturals) -> Indices:
        """Return the indices of items, by the lower half of their key."""
        return (halves * BACK - np.uint64(1)).astype(np.uint32).astype(np.int32)


class World:
    """The items that users can take, and which of them go together.

    Parameters
    ----------
    items
        Number of items N, a multiple of ``THEME``.
    seed
        Seed of all random numbers.
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
        available = np.ones(self._count, np.bool_)
        snapshot = Snapshot(
            updates=1,
            now_ms=NOW_MS,
            keys=key_of(np.arange(self._count)),
            available=available,
            neighbours=neighbours,
            weights=weights,
            nexts=(0.3 * weights).astype(np.float16),
            mass=weights.sum(axis=1),
            counts=self._counts(),
            count_times=np.full(self._count, NOW_MS),
            akin=akin,
            likeness=likeness,
        )
        stands = Stands(snapshot, derive(snapshot))
        told = stands.told(np.arange(self._count))
        codes, scales = coded(embeddings)
        items = Items(
            available=available,
            keys=snapshot.keys,
            domain=np.zeros(self._count, np.int32),
            examples=self._examples,
            counts=snapshot.counts,
            count_times=snapshot.count_times,
            codes=codes,
            scales=scales,
            brought=np.zeros((self._count, 0), np.int16),
            brought_scales=np.zeros(self._count, np.float32),
            heads=stands.heads,
            **{name: np.ascontiguousarray(told[name]) for name in TOLD.names or ()},
        )
        return Made(items)

    def users(self, number: int) -> Iterator[UserRow]:
        """Yield rows of users. Each has a history of 1 to ``HISTORY`` items, which follows ``TASTES`` tastes."""
        for _ in range(number):
            length = int(self._random.integers(1, HISTORY + 1))
            tastes = self._groups[-1][1][self._skewed((TASTES,), self._count)]
            took = self._with(tastes, length)[self._random.integers(TASTES, size=length), np.arange(length)]
            # Items lie minutes apart. After one in ten there is a gap of a day.
            gaps = self._random.exponential(120, length) + 86_400 * (self._random.random(length) < 0.1)
            row = UserRow()
            for item, ago in zip(took.tolist(), np.cumsum(gaps)[::-1].tolist(), strict=True):
                row.take(0, key_of(np.array([item])).tobytes(), NOW_MS - int(1000 * ago), UNKNOWN)
            row.revision = row.taken
            yield row

    def _with(self, items: Indices, width: int) -> Indices:
        """Draw items that go with some items, shape (len(items), width)."""
        shape = (len(items), width)
        level = np.searchsorted(LEVELS, self._random.random(shape), side="right")
        drawn = np.empty(shape, np.int32)
        for number, (size, by_rank) in enumerate(self._groups):
            start = items // size * size
            position = start[:, None] + self._skewed(shape, np.minimum(size, self._count - start)[:, None])
            drawn = np.where(level == number, by_rank[position], drawn)
        return drawn

    def _skewed(self, shape: tuple[int, ...], size: int | Indices) -> Indices:
        """Draw positions in a group; the first positions come more often."""
        return np.asarray(self._random.random(shape) ** 2 * size, np.int32)

    def _neighbours(self) -> tuple[Indices, Floats]:
        width = NEIGHBOURS
        drawn = self._with(np.arange(self._count, dtype=np.int32), MOST_NEIGHBOURS)
        kept = np.arange(MOST_NEIGHBOURS) < NEIGHBOURS_PER_EXAMPLE * self._examples[:, None]
        strength = self._random.exponential(size=drawn.shape) * np.sqrt(self._examples)[:, None]
        indices = np.full((self._count, width), NONE, np.int32)
        weights = np.zeros((self._count, width), np.float32)
        indices[:, :MOST_NEIGHBOURS] = np.where(kept, drawn, NONE)
        weights[:, :MOST_NEIGHBOURS] = np.where(kept, strength, 0)
        return indices, weights

    def _counts(self) -> Floats:
        tenures = np.full(TENURES, 1 / TENURES)
        shares = np.concatenate([HORIZONS, tenures])
        return np.asarray(self._random.poisson(self._examples[:, None] * shares), np.float32)

    def _embeddings(self) -> Floats:
        """Draw unit vectors round the centre of a theme, near the centre of its topic; shape (N, ``TEXT``)."""
        numbers = np.arange(self._count)
        vectors = self._random.standard_normal((self._count, TEXT), np.float32)
        for size in (THEME, TOPIC):
            centres = self._random.standard_normal((self._count // size + 1, TEXT), np.float32)
            vectors += centres[numbers // size]
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _by_rank(rank: Integers, size: int) -> Indices:
    """Sort the items within each group of ``size`` items, the most popular first."""
    return np.asarray(np.lexsort((rank, np.arange(len(rank)) // size)), np.int32)


def _akin(embeddings: Floats) -> tuple[Indices, Floats]:
    """Find the nearest texts within a theme, nearest first, and their cosines; both of shape (N, ``AKIN``)."""
    themes = embeddings.reshape(-1, THEME, TEXT)
    cosines = themes @ themes.transpose(0, 2, 1)
    cosines[:, np.arange(THEME), np.arange(THEME)] = -1
    nearest = np.argsort(-cosines, axis=2)[:, :, :AKIN]
    likeness = np.take_along_axis(cosines, nearest, axis=2)
    indices = nearest + THEME * np.arange(len(themes))[:, None, None]
    width = AKIN
    return indices.reshape(-1, width).astype(np.int32), likeness.reshape(-1, width).astype(np.float32)
