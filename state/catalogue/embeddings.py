"""Embeddings of items, by the encoder that made them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from afresh.models.arrays import NONE, Codes, Floats, Halves, Indices, Mask, Places
from afresh.models.retrieval.codes import coded
from afresh.state.catalogue.growing import Growing
from afresh.state.rows.content import Vector

Encoder = tuple[str, str, int]
"""Name and version of an encoder, and how many numbers its vectors have."""


class Embeddings(ABC):
    """Keeps a matrix of embeddings for each encoder; readers see that of the encoder that has read most items.

    Vectors of two encoders cannot be compared. While a new encoder works through the catalogue, both matrices are
    kept. Readers change over at once, when the new encoder has the majority.
    """

    def __init__(self) -> None:
        self._matrices: dict[Encoder, Growing] = {}
        self._counts: Counter[Encoder] = Counter()
        self._numbers: dict[Encoder, int] = {}
        self._encoders = Growing(number=((), np.int16, NONE))
        self._nothing = self._make(1)

    @staticmethod
    @abstractmethod
    def _make(width: int) -> Growing:
        """Make room for embeddings of a width."""

    @staticmethod
    @abstractmethod
    def _put(matrix: Growing, indices: Indices, vectors: Halves) -> None:
        """Put embeddings of some items into a matrix."""

    def keep(self, indices: Indices, texts: Sequence[Vector | None]) -> None:
        """Set the embeddings of some items, each named once, as their rows have them; None for those without."""
        by_encoder: defaultdict[Encoder | None, list[int]] = defaultdict(list)
        for place, text in enumerate(texts):
            by_encoder[None if text is None else _encoder_of(text)].append(place)
        for encoder, places in by_encoder.items():
            if encoder is None:
                self.drop(indices[places])
            else:
                joined = b"".join(texts[place].vector for place in places)  # type: ignore[union-attr]
                vectors = np.frombuffer(joined, "<f2").reshape(len(places), encoder[2])
                self._set(indices[places], encoder, vectors)

    def _set(self, indices: Indices, encoder: Encoder, vectors: Halves) -> None:
        number = self._numbers.setdefault(encoder, len(self._numbers))
        self._drop(indices, but=number)
        if encoder not in self._matrices:
            self._matrices[encoder] = self._make(encoder[2])
        self._matrices[encoder].cover(indices)
        self._put(self._matrices[encoder], indices, vectors)
        self._counts[encoder] += int(np.count_nonzero(self._encoders["number"][indices] != number))
        self._encoders["number"][indices] = number

    def drop(self, indices: Indices) -> None:
        """Forget the embeddings of some items, and an encoder that has no embedding left."""
        self._drop(indices, but=NONE)

    def _drop(self, indices: Indices, but: int) -> None:
        self._encoders.cover(indices)
        held = self._encoders["number"][indices]
        for encoder in list(self._matrices):
            number = self._numbers[encoder]
            left = indices[held == number]
            if number == but or not len(left):
                continue
            self._put(self._matrices[encoder], left, np.zeros((len(left), encoder[2]), np.float16))
            self._encoders["number"][left] = NONE
            self._counts[encoder] -= len(left)
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
        self._encoders.reach(len(among))
        return int(np.count_nonzero(among & (self._encoders["number"][: len(among)] != NONE)))


def _encoder_of(text: Vector) -> Encoder:
    return text.encoder, text.encoder_version, len(text.vector) // 2


class CodedEmbeddings(Embeddings):
    """Embeddings as lists read them; see ``models.retrieval.codes``."""

    @staticmethod
    def _make(width: int) -> Growing:
        return Growing(codes=((width,), np.int16, 0), scales=((), np.float32, 0))

    @staticmethod
    def _put(matrix: Growing, indices: Indices, vectors: Halves) -> None:
        matrix["codes"][indices], matrix["scales"][indices] = coded(vectors.astype(np.float32))

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
    def _put(matrix: Growing, indices: Indices, vectors: Halves) -> None:
        matrix["vectors"][indices] = vectors

    def keep(self, indices: Indices, texts: Sequence[Vector | None]) -> None:
        """Set the embeddings of some items, each named once, as their rows have them; None for those without."""
        super().keep(indices, texts)
        self._changed.update(indices[[text is not None for text in texts]].tolist())

    def drop(self, indices: Indices) -> None:
        """Forget the embeddings of some items, and an encoder that has no embedding left."""
        self._encoders.cover(indices)
        self._changed.update(indices[self._encoders["number"][indices] != NONE].tolist())
        super().drop(indices)

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
