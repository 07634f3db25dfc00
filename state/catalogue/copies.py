"""Copies: what the model has told a worker of one version, whole or on its way."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from afresh.models.arrays import NONE, Indices
from afresh.models.layout import HALF_LIVES_MS
from afresh.state.catalogue.growing import Growing
from afresh.state.model.told import NAMING, TOLD, ToldArray


class ModelCopy:
    """A worker's copy of a version, by the worker's own indices of items.

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
