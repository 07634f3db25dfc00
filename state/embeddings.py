"""Embeddings of items, by the encoder that made them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from state.growing import Growing

Encoder = tuple[str, str]
"""Name and version."""

Floats = npt.NDArray[np.float32]


class Embeddings:
    """A matrix for each encoder; scorers see the one that has read the most items.

    Vectors of two encoders can't be compared. While a new encoder works through the catalogue both matrices stand,
    and the scorers change over at once, when the new one has the majority.
    """

    def __init__(self) -> None:
        self._matrices: dict[Encoder, Growing] = {}
        self._encoder: dict[int, Encoder] = {}
        self._counts: Counter[Encoder] = Counter()

    def put(self, row: int, encoder: Encoder, vector: npt.NDArray[np.floating]) -> None:
        """Set the embedding of a row, in place of any other."""
        self.drop(row)
        if encoder not in self._matrices:
            self._matrices[encoder] = Growing(vectors=((len(vector),), np.float32, 0))
        matrix = self._matrices[encoder]
        matrix.reach(row + 1)
        matrix["vectors"][row] = vector
        self._encoder[row] = encoder
        self._counts[encoder] += 1

    def drop(self, row: int) -> None:
        """Forget the embedding of a row, and an encoder of which none is left."""
        encoder = self._encoder.pop(row, None)
        if encoder is None:
            return
        self._counts[encoder] -= 1
        self._matrices[encoder]["vectors"][row] = 0
        if not self._counts[encoder]:
            del self._matrices[encoder], self._counts[encoder]

    def matrix(self, rows: int) -> Floats:
        """Embeddings of the first ``rows`` rows, zeros where there is none, shape (rows, e)."""
        if not self._counts:
            return np.zeros((rows, 1), np.float32)
        (encoder, _), *_ = self._counts.most_common(1)
        matrix = self._matrices[encoder]
        matrix.reach(rows)
        return matrix["vectors"][:rows]

    def count(self, among: npt.NDArray[np.bool_]) -> int:
        """Rows marked in ``among`` that have an embedding."""
        return sum(bool(among[row]) for row in self._encoder)
