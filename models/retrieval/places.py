"""Finds distinct items among many, and their places, without sorting."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Indices, Mask, Places

NOWHERE = np.iinfo(np.int32).max
"""Note of every item that is not being asked about, and always the last note, which is that of ``NONE``."""


class Numbering:
    """Numbers items that are given as indices of the Catalogue.

    To sort thousands of indices would cost more than all other work for a list. Instead every item has a note of its
    own that a call writes on. So the cost does not depend on the number of items.
    """

    def __init__(self) -> None:
        self._note = np.full(1, NOWHERE, np.int32)

    def reach(self, items: int) -> None:
        """Make room for this many items."""
        if items >= len(self._note):
            self._note = np.full(max(items, 2 * len(self._note)) + 1, NOWHERE, np.int32)

    def distinct(self, indices: Indices) -> Indices:
        """Return every index once, in the order of last occurrence.

        Examples
        --------
        >>> numbering = Numbering()
        >>> numbering.reach(10)
        >>> numbering.distinct(np.array([7, 2, 7, 5], np.int32)).tolist()
        [2, 7, 5]
        """
        order = np.arange(len(indices), dtype=np.int32)
        self._note[indices] = order
        last = self._note[indices] == order
        self._note[indices] = NOWHERE
        return np.asarray(indices[last])

    def places(self, indices: Indices, among: Indices) -> Places:
        """Return the place of every index among distinct indices; ``len(among)`` if absent, as ``NONE`` always is.

        Examples
        --------
        >>> numbering = Numbering()
        >>> numbering.reach(10)
        >>> numbering.places(np.array([[7, 2], [-1, 5]], np.int32), np.array([5, 7], np.int32)).tolist()
        [[1, 2], [2, 0]]
        """
        self._note[among] = np.arange(len(among), dtype=np.int32)
        places = np.minimum(self._note[indices], len(among)).astype(np.intp)
        self._note[among] = NOWHERE
        return places

    def outside(self, indices: Indices, excluded: Indices) -> Mask:
        """Return a mask of the distinct indices that are not excluded, shape (n,).

        Examples
        --------
        >>> numbering = Numbering()
        >>> numbering.reach(10)
        >>> numbering.outside(np.array([5, 7], np.int32), np.array([7, 2, -1], np.int32)).tolist()
        [True, False]
        """
        mask = np.ones(len(indices) + 1, np.bool_)  # one more, for excluded items that are not asked about
        mask[self.places(excluded, indices)] = False
        return mask[:-1]
