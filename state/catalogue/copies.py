"""Copies: what the model has told a process of a version, whole or on its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from afresh.models.arrays import NONE, Indices, Keys
from afresh.models.layout import HALF_LIVES_MS
from afresh.state.catalogue.growing import Growing
from afresh.state.model.told import NAMING, TOLD, Message, Numbered, Revised, Told, ToldArray, Whole


class Alike(NamedTuple):
    """What a version tells of texts that are near each other.

    Attributes
    ----------
    keys
        Key of each item, shape (N,).
    akin, likeness
        Indices of the items of nearest text, ``NONE`` for none, and their cosines as multiples of ``LIKENESS_UNIT``,
        shape (N, T).
    """

    keys: Keys
    akin: Indices
    likeness: npt.NDArray[np.uint16]


class ModelCopy:
    """A process's copy of a version, by its own indices of items.

    Parameters
    ----------
    version
        The version; 0 before the first.

    Attributes
    ----------
    heads
        See ``models.retrieval.asking.Items``.
    """

    def __init__(self, version: int) -> None:
        self.version = version
        self.heads: Indices = np.zeros((len(HALF_LIVES_MS), 0), np.int32)
        # An item that was never told is related to none, and its votes are believed.
        fill = dict.fromkeys(NAMING, NONE) | {"trust": 1}
        self._arrays = Growing(
            **{name: (TOLD[name].shape, TOLD[name].base, fill.get(name, 0)) for name in TOLD.names or ()}
        )
        # Number n stands at n + 1, so that the index of NONE is NONE.
        self._index = Growing(index=((), np.int32, NONE), told=((), np.bool_, False))
        self._index.reach(1)
        self._numbered = 0

    def views(self, items: int) -> dict[str, npt.NDArray[Any]]:
        """Return what was told of the first ``items`` items, by name."""
        self._arrays.reach(items)
        return {name: self._arrays[name][:items] for name in TOLD.names or ()}

    def alike(self, keys: Keys) -> Alike:
        """Return what was told of texts that are near each other, given the keys of all items."""
        of = self.views(len(keys))
        return Alike(keys, of["akin"], of["likeness"])

    def number(self, first: int, indices: Indices) -> None:
        """Take in which indices the items have that are numbered from ``first`` on."""
        if first != self._numbered:
            return
        self._numbered = first + len(indices)
        self._index.reach(self._numbered + 1)
        self._index["index"][first + 1 :] = indices
        self._arrays.cover(indices)

    def tell(self, numbers: Indices, rows: ToldArray) -> Indices:
        """Take in the rows of some items, and return their indices; those of unknown numbers are left out."""
        known = numbers < self._numbered
        numbers, rows = numbers[known], rows[known]
        indices = self._index["index"][numbers + 1]
        for name in TOLD.names or ():
            self._arrays[name][indices] = self._indices_of(rows[name]) if name in NAMING else rows[name]
        self._index["told"][numbers + 1] = True
        return indices

    def lead(self, heads: bytes) -> None:
        """Take in which items have the largest counts."""
        self.heads = self._indices_of(np.frombuffer(heads, "<i4").reshape(len(HALF_LIVES_MS), -1))

    def is_whole(self, items: int) -> bool:
        """Whether all items of a version were told."""
        return self._numbered == items == np.count_nonzero(self._index["told"])

    def _indices_of(self, numbers: Indices) -> Indices:
        known = np.where(numbers < self._numbered, numbers, NONE)
        return np.asarray(self._index["index"][known + 1])


class Copies:
    """The copy of the version that stands, and that of the version that is being told.

    Parameters
    ----------
    place
        Returns the indices of items by key; an item that it does not know gets a new one.

    Attributes
    ----------
    standing
        The version that stands.
    """

    def __init__(self, place: Callable[[Keys], Indices]) -> None:
        self.standing = ModelCopy(0)
        self._coming = ModelCopy(0)
        self._place = place

    def take(self, message: Message) -> Indices | None:
        """Take in what the model tells.

        Returns
        -------
        Indices of the items of which the version that stands says something else now; None if it says what it said, or
        if it has given way to another.
        """
        match message:
            case Numbered():
                # A leader that died may have begun a version of the same number, with other items and in another order.
                if message.first == 0 or message.version != self._coming.version:
                    self._coming = ModelCopy(message.version)
                self._number(self._coming, message)
            case Told():
                if message.version == self._coming.version:
                    rows = np.frombuffer(message.rows, TOLD)
                    self._coming.tell(
                        np.arange(message.first, message.first + len(rows), dtype=np.int32), rows
                    )
            case Whole():
                if message.version == self._coming.version and self._coming.is_whole(message.items):
                    self.standing, self._coming = self._coming, ModelCopy(0)
                    self.standing.lead(message.heads)
            case Revised():
                if message.version == self.standing.version:
                    self._number(self.standing, message)
                    told = self.standing.tell(
                        np.frombuffer(message.numbers, "<i4"), np.frombuffer(message.rows, TOLD)
                    )
                    self.standing.lead(message.heads)
                    return told
        return None

    def _number(self, copy: ModelCopy, message: Numbered | Revised) -> None:
        copy.number(message.first, self._place(np.frombuffer(message.keys, "<u8")))
