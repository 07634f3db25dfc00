"""Numbering: gives items numbers in the order in which they become known, and finds these by the items' keys."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import NONE, Indices, Keys, Naturals
from afresh.models.retrieval.lookup import enter, find, find_halves
from afresh.state.catalogue.growing import SMALLEST, Growing

ROOM = 2
"""Places of the table for each item, at least: with fewer, a search takes many steps."""


class Numbering:
    """Numbers of items. An item keeps its number for the life of the process.

    Examples
    --------
    >>> numbering = Numbering()
    >>> numbering.place(np.array([70, 90, 70], np.uint64)).tolist()
    [0, 1, 0]
    >>> numbering.numbers_of(np.array([[90, 80]], np.uint64)).tolist()
    [[1, -1]]
    """

    def __init__(self) -> None:
        self._length = 0
        self._keys = Growing(keys=((), np.uint64, 0))
        self._table = np.full(ROOM * SMALLEST, NONE, np.int32)

    def __len__(self) -> int:
        return self._length

    @property
    def keys(self) -> Keys:
        """Keys of all items, by number, shape (N,)."""
        return self._keys["keys"]

    def numbers_of(self, keys: Keys) -> Indices:
        """Return the numbers of items by key, of the same shape; ``NONE`` for an item that is not known."""
        # A copy: the compiled code knows one kind of array, and views of messages are read-only.
        wanted = np.array(keys, np.uint64).ravel()
        return find(self._table, self.keys, wanted).reshape(np.shape(keys))

    def numbers_of_halves(self, halves: Naturals) -> Indices:
        """Return the numbers of all items whose keys have one of these lower halves."""
        return find_halves(self._table, self.keys, np.array(halves, np.uint64))

    def place(self, keys: Keys) -> Indices:
        """Return the numbers of items by key, shape (n,); an item that is not known yet gets the next one."""
        numbers = self.numbers_of(keys)
        missing = numbers == NONE
        if missing.any():
            wanted = keys[missing]
            _, first = np.unique(wanted, return_index=True)
            self._add(wanted[np.sort(first)])
            numbers[missing] = self.numbers_of(wanted)
        return numbers

    def _add(self, keys: Keys) -> None:
        start, self._length = self._length, self._length + len(keys)
        self._keys.reach(self._length)
        self._keys["keys"][start:] = keys
        if ROOM * self._length > len(self._table):
            self._table = np.full(2 ** (ROOM * self._length).bit_length(), NONE, np.int32)
            start = 0
        enter(self._table, self.keys, start)
