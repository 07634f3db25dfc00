"""Texts near each other, kept while texts come, change and go.

With few texts every pair is compared (``models.relations.texts``), and the lists follow from the embeddings alone.
With many, an index finds the candidates (``models.relations.text_index``). Each pair that a search finds counts for
both items, and its cosine is computed exactly: only which items are in a list can differ from an exact search, and
depends on the order in which texts came.

To fill the index takes minutes. Meanwhile, the few texts of an update come before the many that wait, and are searched
for at once, among those that are there; and lists stand that an earlier process made (``recall``).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from afresh.models.arrays import NONE, Floats, Indices, Keys, Places, Reals
from afresh.models.relations import texts
from afresh.models.relations.text_index import TextIndex
from afresh.models.retrieval.asking import AKIN

EXACT_BELOW = 20_000
"""Number of texts from which on the index is used."""

TEXTS_AT_ONCE = 8192
"""Number of texts that one update takes in, and number that it searches for; seconds of work."""

SPARE = 15
"""Number of nearest texts that are kept beyond those of a list. So many of its texts may go before the list has to be
searched for again."""

FOUND = 64
"""Number of texts that a search for a list finds, its own among them. More than are kept, to make good what eight bits
lose."""

OFFERED = 500
"""Number of texts whose lists a new text may enter. On titles of films and goods, a text that stands in another's list
has that one among its own nearest 500 in 95 of 100 cases, and among its nearest 100 in 76."""

SEARCHED_ANEW = 2
"""Number of other items that are searched for again for each that comes, in turns, so that what was missed so mends."""

PAIRS = 16_384
"""Number of pairs whose cosines are computed at a time. The embeddings of both items are in memory for that."""

N = TypeVar("N", bound=np.generic)


class NearTexts:
    """Keeps the items of nearest text of every item.

    Parameters
    ----------
    count
        Number of items kept for each item, T.
    exact_below
        Number of texts from which on the index is used. It is given up when half as many are left, so that a catalogue
        of about this size does not change over again and again.
    at_once
        Number of texts that one update takes in, and number that it searches for. The others wait.
    threads
        Largest number of threads of the index.

    Examples
    --------
    >>> near = NearTexts(count=1)
    >>> keys = np.array([30, 10, 20], np.uint64)
    >>> vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float16)
    >>> near.update(keys, vectors, np.array([0, 1, 2])).tolist()
    [0, 1, 2]
    >>> near.akin.ravel().tolist(), near.likeness.ravel().round(1).tolist()
    ([1, 0, 1], [0.800000011920929, 0.800000011920929, 0.6000000238418579])
    >>> vectors[0] = 0
    >>> near.update(keys, vectors, np.array([0])).tolist()
    [0, 1]
    >>> near.akin.ravel().tolist()
    [-1, 2, 1]
    """

    def __init__(
        self,
        count: int = AKIN,
        exact_below: int = EXACT_BELOW,
        at_once: int = TEXTS_AT_ONCE,
        threads: int = 1,
    ) -> None:
        self.exact_below = exact_below
        self._at_once = at_once
        self._threads = threads
        self._count = count
        self._length = 0
        self._akin = np.full((0, count + SPARE), NONE, np.int32)
        self._likeness = np.zeros((0, count + SPARE), np.float32)
        self._held = np.zeros(0, np.bool_)
        self._coming = np.zeros(0, np.bool_)
        self._unsearched = np.zeros(0, np.bool_)
        self._index: TextIndex | None = None
        self._turn = 0
        self._recalled = False
        self._before: list[tuple[Places, Indices, Floats]] = []

    @property
    def akin(self) -> Indices:
        """Items of nearest text of each item, nearest first, ``NONE`` for none, shape (N, T).

        Of equally near items the one of lower key comes first. An item without a text is near no other.
        """
        return self._akin[: self._length, : self._count]

    @property
    def likeness(self) -> Floats:
        """The cosines of these items, rounded to ``texts.DECIMALS``; 0 for none, shape (N, T)."""
        return self._likeness[: self._length, : self._count]

    @property
    def waiting(self) -> int:
        """Number of items that wait for the next update.

        An item whose text waits counts as without a text. With an index, items that lost too many of their nearest wait
        with those that are left.
        """
        return int(np.count_nonzero(self._coming | self._unsearched))

    def recall(self, akin: Indices, likeness: Floats) -> None:
        """Begin with lists that an earlier process made, before the first update.

        They stand until their items have been searched for.

        Parameters
        ----------
        akin, likeness
            As the properties have them, of the first items, shape (M, T).
        """
        self._reach(len(akin))
        self._recalled = True
        self._akin[: len(akin), : self._count], self._likeness[: len(akin), : self._count] = akin, likeness

    def update(self, keys: Keys, vectors: Reals, changed: Places) -> Places:
        """Take in texts that came, changed or went, and those that waited.

        Parameters
        ----------
        keys
            Key of every item, shape (N,). Items keep their indices, and N never falls.
        vectors
            Embedding of every item, of unit length, shape (N, E). An item has no text where it is all 0, or not finite.
        changed
            Indices of the items whose embedding is not that of the last call.

        Returns
        -------
        Indices of the items whose ``akin`` or ``likeness`` is not what it was, ascending.
        """
        self._reach(len(keys))
        left = self._leave(changed)
        came, first = self._come(vectors, changed)
        number = np.count_nonzero(self._held | self._coming)
        if self._index is None and number < self.exact_below:
            self._compare(keys, vectors, np.union1d(left, came))
        elif number < self.exact_below // 2:
            self._index = None
            self._unsearched[:] = False
            self._compare(keys, vectors, np.union1d(left, np.flatnonzero(self._held)))
        else:
            self._approximate(keys, vectors, left, came, first)
        if self._recalled and not self.waiting:
            self._recalled = False
            # What has lost its text since then never came.
            lost = np.flatnonzero(~self._held[: self._length])
            self._put(lost, np.full_like(self._akin[lost], NONE), np.zeros_like(self._likeness[lost]))
        return self._differing()

    def _reach(self, length: int) -> None:
        self._length = length
        if length > len(self._held):
            more = max(length, 2 * len(self._held)) - len(self._held)
            self._akin = _longer(self._akin, more, NONE)
            self._likeness = _longer(self._likeness, more, 0)
            self._held = _longer(self._held, more, False)
            self._coming = _longer(self._coming, more, False)
            self._unsearched = _longer(self._unsearched, more, False)

    def _leave(self, changed: Places) -> Places:
        """Have changed items wait to come again; return those that were held."""
        left = changed[self._held[changed]]
        self._held[left] = self._unsearched[left] = False
        self._coming[changed] = True
        if self._index is not None:
            self._index.remove(left)
            if not len(self._index):
                # What comes next may be of another encoder, and of another width.
                self._index = None
        return left

    def _come(self, vectors: Reals, changed: Places) -> tuple[Places, Places]:
        """Hold the next of the items that wait to come: those of a small update first.

        Returns
        -------
        Those that have a text, and those of them that came first.
        """
        first = changed if len(changed) < self._at_once else changed[:0]
        self._coming[first] = False
        others = np.flatnonzero(self._coming)[: self._at_once - len(first)]
        self._coming[others] = False
        came = np.union1d(first, others)
        theirs = vectors[came]
        came = came[theirs.any(axis=1) & np.isfinite(theirs).all(axis=1)]
        self._held[came] = True
        return came, np.intersect1d(came, first)

    def _compare(self, keys: Keys, vectors: Reals, moved: Places) -> None:
        """Update the lists exactly, after some items came or left."""
        some = np.union1d(np.flatnonzero(self._held), moved)
        some = some[np.argsort(keys[some])]
        # One more, so that the place of NONE is NONE.
        place = np.full(len(keys) + 1, NONE, np.int32)
        place[some] = np.arange(len(some), dtype=np.int32)
        embeddings = np.zeros((len(some), vectors.shape[1]), np.float32)
        held = self._held[some]
        embeddings[held] = vectors[some[held]]
        changed = np.zeros(len(some), np.bool_)
        changed[place[moved]] = True
        akin, likeness = texts.nearest(embeddings, place[self._akin[some]], self._likeness[some], changed)
        self._put(some, np.append(some, NONE)[akin], likeness)

    def _approximate(self, keys: Keys, vectors: Reals, left: Places, came: Places, first: Places) -> None:
        """Update the index and the lists after some items came or left, and some of them before others that wait."""
        if self._index is None:
            self._index = TextIndex(vectors.shape[1], self._threads)
            self._unsearched[:] = self._held
            self._unsearched[came] = False
            there = np.flatnonzero(self._unsearched)
            self._index.add(there, vectors[there])
        self._forget(left)
        standing = (self._held & ~self._unsearched).sum() > len(came)
        self._index.add(came, vectors[came])
        if standing:
            self._search(came, OFFERED, keys, vectors)
            self._unsearched[self._next(SEARCHED_ANEW * len(came))] = True
        else:
            self._search(first, OFFERED, keys, vectors, everywhere=True)
            self._unsearched[came] = True
        # Of many texts that come, the first would be searched for among few.
        if not self._coming.any():
            searched = np.flatnonzero(self._unsearched)[: self._at_once]
            self._search(searched, FOUND, keys, vectors)

    def _next(self, number: int) -> Places:
        """Return the next items in turn to be searched for again."""
        items = np.flatnonzero(self._held & ~self._unsearched)
        after = np.searchsorted(items, self._turn)
        chosen = np.concatenate([items[after:], items[:after]])[:number]
        self._turn = int(chosen[-1]) + 1 if len(chosen) else 0
        return chosen

    def _forget(self, left: Places) -> None:
        """Take items that left out of all lists; a list that is too short then is to be searched for anew."""
        self._put(left, np.full_like(self._akin[left], NONE), np.zeros_like(self._likeness[left]))
        if not len(left):
            return
        # One more for NONE.
        gone = np.zeros(len(self._held) + 1, np.bool_)
        gone[left] = True
        rows = np.flatnonzero(gone[self._akin].any(axis=1))
        akin, likeness = self._akin[rows], self._likeness[rows]
        out = gone[akin]
        akin[out], likeness[out] = NONE, 0
        sorting = np.argsort(out, axis=1, kind="stable")
        self._put(rows, np.take_along_axis(akin, sorting, 1), np.take_along_axis(likeness, sorting, 1))
        self._unsearched[rows[self._akin[rows, self._count - 1] == NONE]] = True

    def _search(
        self, items: Places, count: int, keys: Keys, vectors: Reals, everywhere: bool = False
    ) -> None:
        """Make the lists of items from the nearest ``count``, and enter these items into the lists of those.

        Items that are to be searched for themselves get theirs then, unless these are to stand ``everywhere`` at once.
        """
        size = PAIRS // count
        for start in range(0, len(items), size):
            block = items[start : start + size]
            own, found, cosines = self._pairs(block, count, vectors)
            lists = texts.best(np.searchsorted(block, own), found, cosines, self._akin[block].shape, keys)
            self._put(block, *lists)
            self._unsearched[block] = False
            self._enter(own, found, cosines, keys, everywhere)

    def _pairs(self, block: Places, count: int, vectors: Reals) -> tuple[Places, Indices, Floats]:
        """Find pairs of an item of a block and one near it, and their cosines."""
        assert self._index is not None, "items are in it"
        found = self._index.search(vectors[block], count)
        raw = vectors[found].astype(np.float32) @ vectors[block].astype(np.float32)[:, :, None]
        rows, places = np.nonzero((found != NONE) & (found != block[:, None]))
        own, others = block[rows], found[rows, places]
        return own, others, texts.cosines(raw[rows, places, 0], vectors, own, others)

    def _enter(self, own: Places, others: Indices, cosines: Floats, keys: Keys, everywhere: bool) -> None:
        """Enter items into the lists of others where they are near enough and not yet there."""
        near = np.flatnonzero(~self._unsearched[others] | everywhere)
        near = near[cosines[near] >= self._least(others[near])]
        near = near[(self._akin[others[near]] != own[near, None]).all(axis=1)]
        lists = self._akin, self._likeness
        self._put(*texts.merged(others[near], own[near], cosines[near], lists, keys))

    def _least(self, items: Indices) -> Floats:
        """Return how near a text must be to enter the lists of items: what is farther may not be the next nearest."""
        kept = np.count_nonzero(self._akin[items] != NONE, axis=1)
        return np.where(kept < self._count, 0, self._likeness[items, kept - 1])

    def _put(self, items: Places, akin: Indices, likeness: Floats) -> None:
        self._before.append((items, self.akin[items], self.likeness[items]))
        self._akin[items], self._likeness[items] = akin, likeness

    def _differing(self) -> Places:
        """Return the items whose lists are not what they were before they were first put."""
        items, akin, likeness = map(np.concatenate, zip(*self._before, strict=True))
        self._before.clear()
        items, first = np.unique(items, return_index=True)
        differs = (akin[first] != self.akin[items]) | (likeness[first] != self.likeness[items])
        return np.asarray(items[differs.any(axis=1)])


def _longer(array: npt.NDArray[N], more: int, fill: float) -> npt.NDArray[N]:
    return np.concatenate([array, np.full((more, *array.shape[1:]), fill, array.dtype)])
