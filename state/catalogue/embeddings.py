"""Embeddings of items, by the encoder that made them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter

import numpy as np

from afresh.models.arrays import Codes, Floats, Halves, Mask, Places, Reals
from afresh.models.retrieval.codes import coded
from afresh.state.catalogue.growing import Growing
from afresh.state.rows.content import Vector

Encoder = tuple[str, str]
"""Name and version of an encoder."""


class Embeddings(ABC):
    """Keeps a matrix of embeddings for each encoder; readers see that of the encoder that has read most items.

    Vectors of two encoders cannot be compared. While a new encoder works through the catalogue, both matrices are
    kept. Readers change over at once, when the new encoder has the majority.
    """

    def __init__(self) -> None:
        self._matrices: dict[Encoder, Growing] = {}
        self._encoder: dict[int, Encoder] = {}
        self._counts: Counter[Encoder] = Counter()
        self._nothing = self._make(1)

    @staticmethod
    @abstractmethod
    def _make(width: int) -> Growing:
        """Make room for embeddings of a width."""

    @staticmethod
    @abstractmethod
    def _put(matrix: Growing, index: int, vector: Reals) -> None:
        """Put an embedding into a matrix."""

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
            self._matrices[encoder] = self._make(len(vector))
        matrix = self._matrices[encoder]
        matrix.reach(index + 1)
        self._put(matrix, index, vector)
        self._encoder[index] = encoder
        self._counts[encoder] += 1

    def drop(self, index: int) -> None:
        """Forget the embedding of an item, and an encoder that has no embedding left."""
        encoder = self._encoder.pop(index, None)
        if encoder is None:
            return
        self._counts[encoder] -= 1
        self._put(self._matrices[encoder], index, np.zeros(1, np.float16))
        if not self._counts[encoder]:
            del self._matrices[encoder], self._counts[encoder]

    def _of_leading(self, items: int) -> Growing:
        encoder = self._leading()
        leading = self._nothing if encoder is None else self._matrices[encoder]
        leading.reach(items)
        return leading

    def _leading(self) -> Encoder | None:
        """Return the encoder that has read most items; ties go to the lower name and version."""
        return min(self._counts, key=lambda encoder: (-self._counts[encoder], encoder), default=None)

    def count_embedded(self, among: Mask) -> int:
        """Count the items of the mask ``among`` that have an embedding."""
        return sum(bool(among[index]) for index in self._encoder)


class CodedEmbeddings(Embeddings):
    """Embeddings as lists read them; see ``models.retrieval.codes``."""

    @staticmethod
    def _make(width: int) -> Growing:
        return Growing(codes=((width,), np.int16, 0), scales=((), np.float32, 0))

    @staticmethod
    def _put(matrix: Growing, index: int, vector: Reals) -> None:
        (matrix["codes"][index],), (matrix["scales"][index],) = coded(vector[None])

    def codes(self, items: int) -> tuple[Codes, Floats]:
        """Return the codes and scales of the first ``items`` items, shapes (items, e) and (items,); 0 for none."""
        leading = self._of_leading(items)
        return leading["codes"][:items], leading["scales"][:items]


class WholeEmbeddings(Embeddings):
    """Embeddings as rows have them, in sixteen bits, so that nothing is lost; it remembers which have changed."""

    def __init__(self) -> None:
        super().__init__()
        self._changed: set[int] = set()
        self._shown: Encoder | None = None

    @staticmethod
    def _make(width: int) -> Growing:
        return Growing(vectors=((width,), np.float16, 0))

    @staticmethod
    def _put(matrix: Growing, index: int, vector: Reals) -> None:
        matrix["vectors"][index] = vector

    def put_vector(self, index: int, encoder: Encoder, vector: Reals) -> None:
        """Set the embedding of an item; it replaces any other."""
        super().put_vector(index, encoder, vector)
        self._changed.add(index)

    def drop(self, index: int) -> None:
        """Forget the embedding of an item, and an encoder that has no embedding left."""
        if index in self._encoder:
            self._changed.add(index)
        super().drop(index)

    def matrix(self, items: int) -> Halves:
        """Return the embeddings of the first ``items`` items, shape (items, e); zeros where there is none."""
        return self._of_leading(items)["vectors"][:items]

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
