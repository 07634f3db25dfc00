"""Which items follow which, as follows from the rows of all items at once.

With N[i, a] how strongly a came just before i (``models.learning.neighbours``), n_i what came before i in all and f_a
what followed a in all,

    F[a, i] = N[i, a] / ((f_a + c) (n_i + c))**0.5.

Unlike relations, transitions have a direction and are not smoothed: which item comes next, on a page or in a series,
says more than which belong together, and smoothing brought nothing (first half of MovieLens 1M).
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.relations.relations import largest, pairs_of, scaled

SHRINKAGE = np.float32(1.0)
"""c: what followed once or twice is held back."""


def follow(before: tuple[Indices, Floats], capacity: int) -> tuple[Indices, Floats]:
    """Derive what follows each of N items.

    Parameters
    ----------
    before
        For each item what came just before it, and how strongly, shape (N, C); ``NONE`` for none.
    capacity
        K.

    Returns
    -------
    For each item the K largest of its row of F, largest first, and these: shape (N, K), ``NONE`` and 0 for none.

    Examples
    --------
    >>> followers, strengths = follow((np.array([[-1], [0]], np.int32), np.array([[0.0], [3.0]], np.float32)), 1)
    >>> followers.tolist(), strengths.tolist()
    ([[1], [-1]], [[0.75], [0.0]])
    """
    counts = pairs_of(*before).T.tocsr()
    followed, preceded = counts.sum(axis=1), counts.sum(axis=0)
    scales = ((total + SHRINKAGE) ** np.float32(-0.5) for total in (followed, preceded))
    return largest(scaled(counts, *scales), capacity)
