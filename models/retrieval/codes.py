"""Codes: embeddings in sixteen bits a number, for lists to read.

A list reads the embeddings of hundreds of items from all over the memory, and waits for it more than it computes. A row
of sixteen bits is half as long as one of 32. The largest number of a row becomes ``LIMIT``. Rows of eight bits would be
half as long again, but HR@10 was .002 lower on texts of films.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Codes, Floats, Reals

LIMIT = np.float32(32767)
"""Largest code; symmetric, so that a vector and its opposite have opposite codes."""


LEAST = np.float32(1e-30)
"""Rows of smaller numbers count as 0: what they are multiplied by would overflow."""


def coded(vectors: Reals) -> tuple[Codes, Floats]:
    """Return the codes of vectors, shape (n, E), and their scales, shape (n,): a vector is about codes times scale.

    Examples
    --------
    >>> codes, scales = coded(np.array([[0.5, -1.0], [0.0, 0.0]]))
    >>> codes.tolist(), (scales * LIMIT).tolist()
    ([[16384, -32767], [0, 0]], [1.0, 0.0])
    """
    largest = np.abs(vectors).max(axis=1, initial=0).astype(np.float32)
    largest[largest < LEAST] = 0
    rounded = np.rint(vectors * (LIMIT / np.where(largest > 0, largest, np.inf))[:, None])
    return rounded.astype(np.int16), largest / LIMIT


def decoded(codes: Codes, scales: Floats) -> Floats:
    """Return the vectors that codes stand for, float32, shape (n, E)."""
    return np.asarray(codes * scales[:, None], np.float32)
