"""Embeddings of items, by the encoder that made them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from afresh.models.arrays import NONE, Codes, Floats, Halves, Indices, Mask, Places
from afresh.models.retrieval.codes import coded
from afresh.state.catalogue.growing import Growing
from afresh.state.rows.content import Vector

Encoder = tuple[str, str, int]
"""Name and version of an encoder, and how many numbers its vectors have."""


class Embeddings(ABC):
    """Keeps a matrix of embeddings for each encoder; readers see that of one encoder.

    Vectors of two encoders cannot be compared. While a new encoder works through the catalogue, both matrices are
    kept. Readers see the version that ``use`` names. Where it names none, or one without an embedding, they see the
    encoder that was the last to read most items.
    """

    def __init__(self) -> None:
        self._matrices: dict[Encoder, Growing] = {}
        self._counts: Counter[Encoder] = Counter()
        self._newest: Counter[int] = Counter()
        self._numbers: dict[Encoder, int] = {}
        self._held = Growing(by=((), np.uint8, 0), newest=((), np.int16, NONE))
        self._used = ""
        self._nothing = self._new(1)

    def _new(self, width: int) -> Growing:
        return Growing(held=((), np.bool_, False), **self._columns(width))

    @staticmethod
    @abstractmethod
    def _columns(width: int) -> dict[str, Any]:
        """Return the columns for embeddings of a width; see ``Growing``."""

    @abstractmethod
    def _put(self, encoder: Encoder, indices: Indices, vectors: Halves) -> None:
        """Put embeddings of some items into the matrix of an encoder."""

    def use(self, version: str) -> None:
        """Let readers see the embeddings of a version of an encoder."""
        self._used = version

    def keep(self, indices: Indices, vectors: Sequence[Sequence[Vector]]) -> None:
        """Set the embeddings of some items, each named once, as their rows have them."""
        by_encoder: defaultdict[Encoder, list[tuple[int, bytes]]] = defaultdict(list)
        for place, some in enumerate(vectors):
            for each in some:
                by_encoder[_encoder_of(each)].append((place, each.vector))
        self._note_newest(indices, [_encoder_of(some[0]) if some else None for some in vectors])
        for encoder in self._matrices.keys() | by_encoder.keys():
            found = by_encoder[encoder]
            without = np.ones(len(indices), np.bool_)
            without[[place for place, _ in found]] = False
            if found:
                joined = b"".join(vector for _, vector in found)
                read = np.frombuffer(joined, "<f2").reshape(len(found), encoder[2])
                self._set(encoder, indices[[place for place, _ in found]], read)
            self._drop(encoder, indices[without])

    def _note_newest(self, indices: Indices, encoders: Sequence[Encoder | None]) -> None:
        self._held.cover(indices)
        self._newest.subtract(self._held["newest"][indices].tolist())
        numbers = [NONE if each is None else self._number(each) for each in encoders]
        self._held["newest"][indices] = numbers
        self._newest.update(numbers)

    def _number(self, encoder: Encoder) -> int:
        return self._numbers.setdefault(encoder, len(self._numbers))

    def _set(self, encoder: Encoder, indices: Indices, vectors: Halves) -> None:
        if encoder not in self._matrices:
            self._matrices[encoder] = self._new(encoder[2])
        matrix = self._matrices[encoder]
        matrix.cover(indices)
        new = indices[~matrix["held"][indices]]
        self._put(encoder, indices, vectors)
        matrix["held"][new] = True
        self._held["by"][new] += 1
        self._counts[encoder] += len(new)

    def drop(self, indices: Indices) -> None:
        """Forget the embeddings of some items, and encoders that have no embedding left."""
        self._note_newest(indices, [None] * len(indices))
        for encoder in list(self._matrices):
            self._drop(encoder, indices)

    def _drop(self, encoder: Encoder, indices: Indices) -> None:
        matrix = self._matrices[encoder]
        matrix.cover(indices)
        left = indices[matrix["held"][indices]]
        if not len(left):
            return
        self._put(encoder, left, np.zeros((len(left), encoder[2]), np.float16))
        matrix["held"][left] = False
        self._held["by"][left] -= 1
        self._counts[encoder] -= len(left)
        if not self._counts[encoder]:
            del self._matrices[encoder], self._counts[encoder]

    def _of_leading(self, items: int) -> Growing:
        encoder = self._leading()
        leading = self._nothing if encoder is None else self._matrices[encoder]
        leading.reach(items)
        return leading

    def _leading(self) -> Encoder | None:
        """Return the encoder that readers see; ties go to the lower name and version."""
        used = [encoder for encoder in self._counts if encoder[1] == self._used]
        return min(
            used or self._counts, key=lambda each: (-self._newest[self._number(each)], each), default=None
        )

    def count_embedded(self, among: Mask) -> int:
        """Count the items of the mask ``among`` that have an embedding which readers see."""
        return int(np.count_nonzero(among & self._of_leading(len(among))["held"][: len(among)]))

    @property
    def counts(self) -> Mapping[Encoder, int]:
        """Number of items that have an embedding, by encoder."""
        return self._counts

    def coverage(self) -> dict[str, float]:
        """Return the share of the items with any embedding that have one of each version."""
        items = np.count_nonzero(self._held["by"])
        by_version = Counter[str]()
        for (_, version, _), count in self._counts.items():
            by_version[version] += count
        return {version: count / items for version, count in by_version.items()}


def _encoder_of(vector: Vector) -> Encoder:
    return vector.encoder, vector.encoder_version, len(vector.vector) // 2


class CodedEmbeddings(Embeddings):
    """Embeddings as lists read them; see ``models.retrieval.codes``."""

    @staticmethod
    def _columns(width: int) -> dict[str, Any]:
        return {"codes": ((width,), np.int16, 0), "scales": ((), np.float32, 0)}

    def _put(self, encoder: Encoder, indices: Indices, vectors: Halves) -> None:
        matrix = self._matrices[encoder]
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
    def _columns(width: int) -> dict[str, Any]:
        return {"vectors": ((width,), np.float16, 0)}

    def _put(self, encoder: Encoder, indices: Indices, vectors: Halves) -> None:
        matrix = self._matrices[encoder]
        if encoder == self._shown:
            # Most rows come again with the vector that they had: another encoder has read them.
            differs = (matrix["vectors"][indices] != vectors).any(axis=1)
            self._changed.update(indices[differs].tolist())
        matrix["vectors"][indices] = vectors

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
