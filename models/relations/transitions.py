"""Transitions: which items follow which, derived from the rows of all items at once.

N[i, a] says how strongly item a came just before item i (``models.learning.neighbours``), n_i is the sum of what came
before i, and f_a is the sum of what followed a. Then

    F[a, i] = N[i, a] / ((f_a + c) (n_i + c))**0.5.

Unlike relations, transitions have a direction and are not smoothed. Which item comes next, on a page or in a series,
says more than which items belong together. Smoothing brought nothing (first half of MovieLens 1M).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.relations.relations import largest, pairs_of, scaled

SHRINKAGE = np.float32(1.0)
"""c: holds items that followed only once or twice back."""


class Transitions(NamedTuple):
    """Transitions of N items.

    Attributes
    ----------
    followers, following
        For each item the columns of the K largest values in its row of F, largest first, and the values: shape (N, K),
        ``NONE`` and 0 for none.
    followed, preceded
        f and n, shape (N,).
    """

    followers: Indices
    following: Floats
    followed: Floats
    preceded: Floats


def follow(before: tuple[Indices, Floats], capacity: int) -> Transitions:
    """Derive the followers of each of N items.

    Parameters
    ----------
    before
        For each item the items that came just before it, and how strongly, shape (N, C); ``NONE`` for none.
    capacity
        K.

    Examples
    --------
    >>> found = follow((np.array([[-1], [0]], np.int32), np.array([[0.0], [3.0]], np.float32)), 1)
    >>> found.followers.tolist(), found.following.tolist()
    ([[1], [-1]], [[0.75], [0.0]])
    """
    counts = pairs_of(*before).T.tocsr()
    followed, preceded = np.asarray(counts.sum(axis=1)), np.asarray(counts.sum(axis=0))
    scales = ((total + SHRINKAGE) ** np.float32(-0.5) for total in (followed, preceded))
    return Transitions(*largest(scaled(counts, *scales), capacity), followed, preceded)
