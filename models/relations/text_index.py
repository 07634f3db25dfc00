"""An index of embeddings, which finds most of the nearest of a text without comparing it with all others.

It is a graph by usearch (HNSW, Malkov and Yashunin 2018). In the table of ``tests/benchmarks/results/speed.md`` only it
takes texts in and out and is filled bit by bit whatever its size: HNSW by faiss takes nothing out, and cells (IVF) are
made sooner and miss less, but as a catalogue grows they have to be learned anew from all texts at once.
Eight bits a number take less memory and time than sixteen and find as much, as more are found than are needed and exact
cosines choose among them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from usearch.index import Index, Matches

from afresh.models.arrays import NONE, Indices, Places, Reals

LIMIT = 127
"""Largest number of eight bits; symmetric, so that a vector and its opposite have opposite codes."""

CONNECTIVITY = 16
"""Neighbours of a text in the graph; twice as many in its lowest layer."""

ADDING = 128
"""Texts that are kept in view while a new one is connected with the nearest. With 64 an index is made in half the time,
but of titles of films and goods that all were replaced, .97 instead of .985 of the nearest are found."""

SEARCHING = 192
"""Texts that are kept in view by a search, at least."""


class TextIndex:
    """Embeddings by the index of their item.

    Parameters
    ----------
    width
        Length of an embedding.
    threads
        Largest number of threads of a call. They let go of the GIL.

    Examples
    --------
    >>> index = TextIndex(2, threads=1)
    >>> vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    >>> index.add(np.array([5, 6, 7]), vectors)
    >>> index.remove(np.array([7]))
    >>> index.search(vectors[:1], 3).tolist()
    [[5, 6, -1]]
    """

    def __init__(self, width: int, threads: int) -> None:
        self._threads = threads
        self._index = Index(
            ndim=width,
            metric="cos",
            dtype="i8",
            connectivity=CONNECTIVITY,
            expansion_add=ADDING,
            expansion_search=SEARCHING,
        )

    def __len__(self) -> int:
        return len(self._index)

    def add(self, items: Places, vectors: Reals) -> None:
        """Add items that it does not hold, shape (n,), with their embeddings, shape (n, E)."""
        if len(items):
            self._index.add(items.astype(np.uint64), _coded(vectors), threads=self._threads)

    def remove(self, items: Places) -> None:
        """Remove items that it holds, shape (n,)."""
        if len(items):
            self._index.remove(items.astype(np.uint64), threads=self._threads)

    def search(self, vectors: Reals, count: int) -> Indices:
        """Find about the nearest items of some vectors, shape (n, E).

        Returns
        -------
        Indices of items, shape (n, count), nearly in order; ``NONE`` where there are no more. A vector's own item is
        among them.
        """
        found = self._index.search(_coded(vectors), count, threads=self._threads)
        items = np.full((len(vectors), count), NONE, np.int32)
        if isinstance(found, Matches):  # of a single vector
            items[0, : len(found)] = found.keys
        else:
            there = np.arange(count) < found.counts[:, None]
            items[there] = found.keys[there]
        return items


def _coded(vectors: Reals) -> npt.NDArray[np.int8]:
    """Code vectors in eight bits a number. Cosines do not depend on the scale, so each has its own."""
    scale = LIMIT / np.abs(vectors).max(axis=1, keepdims=True).astype(np.float32)
    return np.asarray(np.rint(vectors * scale), np.int8)
