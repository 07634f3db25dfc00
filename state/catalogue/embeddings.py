"""Embeddings of items, by the encoder that made them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from afresh.models.arrays import Codes, Floats, Halves, Mask, Places, Reals
from afresh.models.retrieval.codes import coded
from afresh.state.catalogue.growing import Growing
from afresh.state.rows.content import Vector

Encoder = tuple[str, str]
"""Name and version of an encoder."""


class Embeddings:
    """Keeps a matrix of embeddings for each encoder; scorers see the matrix of the encoder that has read most items.

    Vectors of two encoders cannot be compared. While a new encoder works through the catalogue, both matrices are
    kept. The scorers change over at once, when the new encoder has the majority.
    """

    def __init__(self) -> None:
        self._matrices: dict[Encoder, Growing] = {}
        self._encoder: dict[int, Encoder] = {}
        self._counts: Counter[Encoder] = Counter()
        self._changed: set[int] = set()
        self._shown: Encoder | None = None
        self._nothing = _arrays(1)

    def keep(self, index: int, text: Vector | None) -> None:
        """Set the embedding of an item as its row has it; None if it has none."""
        if text is None:
            self.drop(index)
        else:
            encoder = (text.encoder, text.encoder_version)
            self.put_vector(index, encoder, np.frombuffer(text.vector, "<f2"))

    def put_vector(self, index: int, encoder: Encoder, vector: Reals) -> None:
        """Set the embedding of an item; it replaces any other."""
        self.drop(index)
        if encoder not in self._matrices:
            self._matrices[encoder] = _arrays(len(vector))
        matrix = self._matrices[encoder]
        matrix.reach(index + 1)
        matrix["vectors"][index] = vector
        (matrix["codes"][index],), (matrix["scales"][index],) = coded(vector[None])
        self._changed.add(index)
        self._encoder[index] = encoder
        self._counts[encoder] += 1

    def drop(self, index: int) -> None:
        """Forget the embedding of an item, and an encoder that has no embedding left."""
        encoder = self._encoder.pop(index, None)
        if encoder is None:
            return
        self._counts[encoder] -= 1
        for array in ("vectors", "codes", "scales"):
            self._matrices[encoder][array][index] = 0
        self._changed.add(index)
        if not self._counts[encoder]:
            del self._matrices[encoder], self._counts[encoder]

    def matrix(self, items: int) -> Halves:
        """Return the embeddings of the first ``items`` items, shape (items, e); zeros where there is none."""
        return self._of_leading(items)["vectors"][:items]

    def codes(self, items: int) -> tuple[Codes, Floats]:
        """Return the same embeddings for lists to read; see ``models.retrieval.codes.coded``."""
        leading = self._of_leading(items)
        return leading["codes"][:items], leading["scales"][:items]

    def _of_leading(self, items: int) -> Growing:
        encoder = self._leading()
        leading = self._nothing if encoder is None else self._matrices[encoder]
        leading.reach(items)
        return leading

    def _leading(self) -> Encoder | None:
        """Return the encoder that has read most items; ties go to the lower name and version."""
        return min(self._counts, key=lambda encoder: (-self._counts[encoder], encoder), default=None)

    @property
    def changed(self) -> bool:
        """Whether there are changes that ``take_changed`` has not returned yet."""
        return bool(self._changed) or self._leading() != self._shown

    def take_changed(self, items: int) -> Places:
        """Return which of the first ``items`` items have changed in ``matrix`` since the last call, ascending."""
        if self._leading() != self._shown:
            self._shown = self._leading()
            self._changed.update(range(items))
        changed, self._changed = self._changed, set()
        return np.array(sorted(changed), np.intp)

    def count_embedded(self, among: Mask) -> int:
        """Count the items of the mask ``among`` that have an embedding."""
        return sum(bool(among[index]) for index in self._encoder)


def _arrays(width: int) -> Growing:
    """Make room for embeddings. Rows hold them in 16 bits, so that nothing is lost here."""
    return Growing(
        vectors=((width,), np.float16, 0), codes=((width,), np.int16, 0), scales=((), np.float32, 0)
    )
