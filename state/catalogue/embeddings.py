"""Embeddings of items, by the encoder that made them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from afresh.models.arrays import Floats, Mask, Reals
from afresh.state.catalogue.growing import Growing

Encoder = tuple[str, str]
"""Name and version."""


class Embeddings:
    """A matrix for each encoder; scorers see the one that has read the most items.

    Vectors of two encoders can't be compared. While a new encoder works through the catalogue both matrices stand,
    and the scorers change over at once, when the new one has the majority.
    """

    def __init__(self) -> None:
        self._matrices: dict[Encoder, Growing] = {}
        self._encoder: dict[int, Encoder] = {}
        self._counts: Counter[Encoder] = Counter()
        self._changed: set[int] = set()
        self._shown: Encoder | None = None

    def put_vector(self, row: int, encoder: Encoder, vector: Reals) -> None:
        """Set the embedding of a row, in place of any other."""
        self.drop(row)
        if encoder not in self._matrices:
            self._matrices[encoder] = Growing(vectors=((len(vector),), np.float32, 0))
        matrix = self._matrices[encoder]
        matrix.reach(row + 1)
        matrix["vectors"][row] = vector
        self._changed.add(row)
        self._encoder[row] = encoder
        self._counts[encoder] += 1

    def drop(self, row: int) -> None:
        """Forget the embedding of a row, and an encoder of which none is left."""
        encoder = self._encoder.pop(row, None)
        if encoder is None:
            return
        self._counts[encoder] -= 1
        self._matrices[encoder]["vectors"][row] = 0
        self._changed.add(row)
        if not self._counts[encoder]:
            del self._matrices[encoder], self._counts[encoder]

    def matrix(self, rows: int) -> Floats:
        """Embeddings of the first ``rows`` rows, zeros where there is none, shape (rows, e)."""
        encoder = self._leading()
        if encoder is None:
            return np.zeros((rows, 1), np.float32)
        matrix = self._matrices[encoder]
        matrix.reach(rows)
        return matrix["vectors"][:rows]

    def _leading(self) -> Encoder | None:
        """Encoder that has read the most items; of equal ones that of lower name and version."""
        return min(self._counts, key=lambda encoder: (-self._counts[encoder], encoder), default=None)

    @property
    def changed(self) -> bool:
        """Whether vectors have changed that ``take_changed`` has not given yet."""
        return bool(self._changed) or self._leading() != self._shown

    def take_changed(self, rows: int, limit: int) -> tuple[Mask, Mask]:
        """Mark, of the first ``rows`` rows, those whose vector in ``matrix`` changed since this was asked.

        Returns
        -------
        The rows that changed, and those of them that wait because they are more than ``limit``: they will be given
        again. Both of shape (rows,).
        """
        if self._leading() != self._shown:
            self._shown = self._leading()
            self._changed.update(range(rows))
        changed = sorted(self._changed)
        marks = np.zeros((2, rows), np.bool_)
        marks[0, changed] = True
        marks[1, changed[limit:]] = True
        self._changed = set(changed[limit:])
        return marks[0], marks[1]

    def count_embedded(self, among: Mask) -> int:
        """Rows marked in ``among`` that have an embedding."""
        return sum(bool(among[row]) for row in self._encoder)
