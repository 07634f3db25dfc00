"""Distinct items among many, without sorting them."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Indices, Mask, Places

NOWHERE = np.iinfo(np.int32).max
"""Noted on every row that is not being asked about, and always in the last place, which is that of ``NONE``."""


class Numbering:
    """Numbers items that are given as indices of the Catalogue.

    Sorting some thousand rows would cost more than all else that a list needs. Instead every row has a place of its
    own to write on, so that the cost does not depend on how many items there are.
    """

    def __init__(self) -> None:
        self._note = np.full(1, NOWHERE, np.int32)

    def reach(self, items: int) -> None:
        """Have room for so many items."""
        if items >= len(self._note):
            self._note = np.full(max(items, 2 * len(self._note)) + 1, NOWHERE, np.int32)

    def distinct(self, indices: Indices) -> Indices:
        """Every row once, in the order in which they come last.

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
        """Place of every row among distinct rows; their number where a row is not among them, as ``NONE`` is never.

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
        """Mark which of some distinct rows are not excluded, shape (n,).

        Examples
        --------
        >>> numbering = Numbering()
        >>> numbering.reach(10)
        >>> numbering.outside(np.array([5, 7], np.int32), np.array([7, 2, -1], np.int32)).tolist()
        [True, False]
        """
        mask = np.ones(len(indices) + 1, np.bool_)  # one more, for what is excluded and not among the rows
        mask[self.places(excluded, indices)] = False
        return mask[:-1]
