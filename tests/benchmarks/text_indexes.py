"""Indexes of embeddings that ``tests.benchmarks.near_texts`` compares, and embeddings like those of real texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import faiss
import numpy as np
from usearch.index import Index

from afresh.models.arrays import Floats, Indices, Places, Reals
from afresh.models.relations import text_index
from afresh.models.relations.text_index import TextIndex

TEXT = 384
"""Width of an embedding, as with the default encoder."""

THEME, TOPIC = 40, 20
"""Texts of a theme, and themes of a topic, on average."""

COMMON = 0.7
"""What all texts have in common, as a share of what a topic or a theme adds."""

WIDTHS = (0.5, 1.8)
"""How far the texts of a theme lie from its centre: least and most."""

HASHTABLE = 2
"""``faiss.DirectMap.Hashtable``, which faiss's types do not name."""


def embeddings(count: int, seed: int = 0) -> Floats:
    """Draw unit vectors of texts, shape (count, ``TEXT``).

    Like titles of films and goods, they have some 30 dimensions in effect; the nearest text has a cosine of .6 to .97
    and the thirtieth of .5 to .9; two drawn at random have one of .2.
    """
    rng = np.random.default_rng(seed)
    spectrum = (1 + np.arange(TEXT, dtype=np.float32)) ** -0.5
    spectrum /= np.linalg.norm(spectrum)

    def draw(number: int) -> Floats:
        return rng.standard_normal((number, TEXT), np.float32) * spectrum

    themes = count // THEME + 1
    topics = themes // TOPIC + 1
    centres = COMMON * draw(1) + draw(topics)[rng.integers(topics, size=themes)] + draw(themes)
    widths = np.exp(rng.uniform(np.log(WIDTHS[0]), np.log(WIDTHS[1]), themes))
    theme = (rng.random(count) ** 1.5 * themes).astype(np.intp)
    far = np.asarray(widths[theme] * np.exp(rng.normal(0, 0.4, count)), np.float32)
    vectors = draw(count)
    vectors *= far[:, None]
    vectors += centres[theme]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


class SearchIndex(Protocol):
    """An index under test."""

    def add(self, items: Places, vectors: Floats) -> None:
        """Add items with their vectors."""

    def remove(self, items: Places) -> None:
        """Remove items."""

    def search(self, vectors: Floats, count: int) -> Indices:
        """Find the items nearest to vectors, shape (n, count)."""


class Usearch:
    """HNSW by usearch with numbers of 32 or 16 bits, and the settings of ours."""

    def __init__(self, dtype: type[np.floating], connectivity: int, adding: int) -> None:
        self._dtype = dtype
        self._index = Index(
            ndim=TEXT,
            metric="cos",
            dtype={np.float32: "f32", np.float16: "f16"}[dtype],
            connectivity=connectivity,
            expansion_add=adding,
            expansion_search=text_index.SEARCHING,
        )

    def add(self, items: Places, vectors: Floats) -> None:
        self._index.add(items.astype(np.uint64), vectors.astype(self._dtype), threads=1)

    def remove(self, items: Places) -> None:
        self._index.remove(items.astype(np.uint64), threads=1)

    def search(self, vectors: Floats, count: int) -> Indices:
        return np.asarray(self._index.search(vectors.astype(self._dtype), count, threads=1).keys, np.int32)


class Ours(TextIndex):
    """HNSW by usearch with numbers of eight bits."""

    def __init__(self) -> None:
        super().__init__(TEXT, threads=1)


class Faiss:
    """An index by faiss, which is trained with the vectors that are added first.

    It is made by its class: faiss's factory ends the process with a fault where usearch was loaded before faiss.
    """

    def __init__(self, index: Any) -> None:
        self._index = index

    def add(self, items: Places, vectors: Floats) -> None:
        if not self._index.is_trained:
            self._index.train(vectors)
        self._add(items, vectors)

    def _add(self, items: Places, vectors: Floats) -> None:
        self._index.add(vectors)

    def remove(self, items: Places) -> None:
        raise NotImplementedError("faiss takes nothing out of this index")

    def search(self, vectors: Floats, count: int) -> Indices:
        return np.asarray(self._index.search(vectors, count)[1], np.int32)


class FaissHNSW(Faiss):
    """A graph by faiss, of numbers of 16 bits."""

    def __init__(self) -> None:
        kind: Any = faiss.ScalarQuantizer.QT_fp16
        super().__init__(faiss.IndexHNSWSQ(TEXT, kind, 16, faiss.METRIC_INNER_PRODUCT))
        self._index.hnsw.efConstruction = self._index.hnsw.efSearch = 128


class FaissIVF(Faiss):
    """Cells by faiss (IVF), 4 √n of them; of numbers of 32 bits, or of 8."""

    def __init__(self, count: int, probes: int, coded: bool = False) -> None:
        cells, metric = int(4 * np.sqrt(count)), faiss.METRIC_INNER_PRODUCT
        self._cells = faiss.IndexFlatIP(TEXT)  # kept: the index only points to it
        index: Any
        if coded:
            kind = faiss.ScalarQuantizer.QT_8bit
            index = faiss.IndexIVFScalarQuantizer(self._cells, TEXT, cells, kind, metric)
        else:
            index = faiss.IndexIVFFlat(self._cells, TEXT, cells, metric)
        super().__init__(index)
        self._index.nprobe = probes
        # Without it a removal reads the whole index.
        self._index.set_direct_map_type(HASHTABLE)

    def _add(self, items: Places, vectors: Floats) -> None:
        self._index.add_with_ids(vectors, items)

    def remove(self, items: Places) -> None:
        self._index.remove_ids(faiss.IDSelectorArray(items))


class Exact:
    """All products."""

    def __init__(self) -> None:
        self._vectors = np.zeros((0, TEXT), np.float32)

    def add(self, items: Places, vectors: Floats) -> None:
        self._vectors.resize((max(len(self._vectors), items.max() + 1), TEXT), refcheck=False)
        self._vectors[items] = vectors

    def remove(self, items: Places) -> None:
        self._vectors[items] = 0

    def search(self, vectors: Reals, count: int) -> Indices:
        blocks = np.array_split(vectors, len(vectors) // 100 + 1)
        found = [np.argpartition(-(block @ self._vectors.T), count)[:, :count] for block in blocks]
        return np.concatenate(found).astype(np.int32)


INDEXES: dict[str, Callable[[int], SearchIndex]] = {
    "exact": lambda _: Exact(),
    "usearch HNSW, 32 bits": lambda _: Usearch(np.float32, 16, 128),
    "usearch HNSW, 16 bits": lambda _: Usearch(np.float16, 16, 128),
    "usearch HNSW, 16 bits, M=24": lambda _: Usearch(np.float16, 24, 128),
    "usearch HNSW, 16 bits, ef=64": lambda _: Usearch(np.float16, 16, 64),
    "usearch HNSW, 8 bits (ours)": lambda _: Ours(),
    "faiss HNSW, 16 bits": lambda _: FaissHNSW(),
    "faiss IVF, 32 bits, 32 cells": lambda count: FaissIVF(count, 32),
    "faiss IVF, 8 bits, 32 cells": lambda count: FaissIVF(count, 32, coded=True),
    "faiss IVF, 8 bits, 128 cells": lambda count: FaissIVF(count, 128, coded=True),
}
"""How each index is made for a number of texts."""
