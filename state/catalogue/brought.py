"""Vectors that items bring, as lists read them: those of all declared kinds in one row of codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from afresh.models.arrays import Codes, Floats, Indices
from afresh.models.retrieval.codes import coded
from afresh.state.catalogue.growing import Growing
from afresh.state.rows.content import Vector


class BroughtVectors:
    """Codes of what each item brings; see ``models.retrieval.codes`` and ``models.scorers.brought``.

    Where no kind is declared, a row has no number, and nothing is read.

    Parameters
    ----------
    declared
        Number of numbers of each kind that lists read.
    """

    def __init__(self, declared: Mapping[str, int]) -> None:
        ends = np.cumsum([0, *declared.values()]).tolist()
        self._columns = {
            kind: slice(start, end) for kind, start, end in zip(declared, ends, ends[1:], strict=False)
        }
        self._width = ends[-1]
        self._matrix = Growing(codes=((self._width,), np.int16, 0), scales=((), np.float32, 0))

    def keep(self, indices: Indices, vectors: Sequence[Sequence[Vector]]) -> None:
        """Set what some items bring, each named once, as their rows have it."""
        if not self._width:
            return
        joined = np.zeros((len(vectors), self._width), np.float32)
        for row, some in zip(joined, vectors, strict=True):
            for each in some:
                self._put(row, each)
        lengths = np.linalg.norm(joined, axis=1, keepdims=True)
        self._matrix.cover(indices)
        codes, scales = coded(joined / np.where(lengths > 0, lengths, 1))
        self._matrix["codes"][indices], self._matrix["scales"][indices] = codes, scales

    def _put(self, row: Floats, vector: Vector) -> None:
        """Put a vector where its kind stands, unless the kind is not declared, or was of another length."""
        columns, numbers = self._columns.get(vector.kind), np.frombuffer(vector.vector, "<f2")
        if columns is not None and len(numbers) == len(row[columns]):
            row[columns] = numbers

    def drop(self, indices: Indices) -> None:
        """Forget what some items bring."""
        self.keep(indices, [()] * len(indices))

    def codes(self, items: int) -> tuple[Codes, Floats]:
        """Return the codes and scales of the first ``items`` items, shapes (items, W) and (items,); 0 for none."""
        self._matrix.reach(items)
        return self._matrix["codes"][:items], self._matrix["scales"][:items]
