"""Likeness of texts: which items have embeddings near each other."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import NONE, Floats, Indices, Mask, Places
from afresh.models.lists.rank import strongest

BLOCK = 512
"""Number of items that are compared with all others at a time."""

DECIMALS = 4
"""Decimals of a cosine. Products of matrices of other shapes differ in the last bits, and these would decide ties."""


def nearest(embeddings: Floats, akin: Indices, likeness: Floats, changed: Mask) -> tuple[Indices, Floats]:
    """Find the items of nearest text for every item.

    Parameters
    ----------
    embeddings
        Embedding of every item, of unit length, or all 0 while unknown, shape (N, E).
    akin, likeness
        Result of the last call: the items found, nearest first, and their cosines, shape (N, T); ``NONE`` and 0 for
        none.
    changed
        Mask of the items whose embedding came, changed or went since then, shape (N,).

    Returns
    -------
    The new ``akin`` and ``likeness``. Of equally near items the one of lower index comes first. An item without a text
    is near no other. The result equals that of a search from nothing. But only two kinds of items cost work: changed
    items, and items that have or get a changed item among their nearest.

    Examples
    --------
    >>> embeddings = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    >>> none = np.full((3, 1), -1, np.int32), np.zeros((3, 1), np.float32)
    >>> akin, likeness = nearest(embeddings, *none, np.ones(3, bool))
    >>> akin.ravel().tolist(), likeness.ravel().round(1).tolist()
    ([1, 0, 1], [0.800000011920929, 0.800000011920929, 0.6000000238418579])
    """
    akin, likeness = akin.copy(), likeness.copy()
    anew = changed.copy()
    anew |= ((akin != NONE) & changed[akin]).any(axis=1)
    known = embeddings.any(axis=1)
    akin[anew], likeness[anew] = NONE, 0
    searched = np.flatnonzero(anew & known)
    for start in range(0, len(searched), BLOCK):
        block = searched[start : start + BLOCK]
        akin[block], likeness[block] = _nearest_of(block, embeddings, akin.shape[1])
    came = np.flatnonzero(changed & known)
    others = np.flatnonzero(known & ~anew)
    for start in range(0, len(came) if len(others) else 0, BLOCK):
        _enter(came[start : start + BLOCK], others, embeddings, akin, likeness)
    return akin, likeness


def _cosines(some: Floats, others: Floats) -> Floats:
    return np.asarray(np.round(some @ others.T, DECIMALS), np.float32)


def _nearest_of(block: Places, embeddings: Floats, count: int) -> tuple[Indices, Floats]:
    cosines = _cosines(embeddings[block], embeddings)
    cosines[np.arange(len(block)), block] = 0
    return _best(np.broadcast_to(np.arange(len(embeddings), dtype=np.int32), cosines.shape), cosines, count)


def _enter(
    came: Places,
    others: Places,
    embeddings: Floats,
    akin: Indices,
    likeness: Floats,
) -> None:
    """Enter items that came among the nearest of others, where they are nearer than those found before."""
    cosines = _cosines(embeddings[others], embeddings[came])
    entered = np.flatnonzero((cosines >= likeness[others, -1:]).any(axis=1) & (cosines > 0).any(axis=1))
    moved = others[entered]
    items = np.concatenate(
        [akin[moved], np.broadcast_to(came.astype(np.int32), (len(moved), len(came)))], axis=1
    )
    values = np.concatenate([likeness[moved], cosines[entered]], axis=1)
    order = np.argsort(items, axis=1, kind="stable")
    items, values = np.take_along_axis(items, order, 1), np.take_along_axis(values, order, 1)
    akin[moved], likeness[moved] = _best(items, values, akin.shape[1])


def _best(items: Indices, cosines: Floats, count: int) -> tuple[Indices, Floats]:
    """Find the nearest items of each row, shape (R, count); the items of a row must ascend."""
    akin = np.full((len(items), count), NONE, np.int32)
    likeness = np.zeros((len(items), count), np.float32)
    size = min(count, items.shape[1])
    if size:
        chosen = np.nonzero(strongest(cosines, size))[1].reshape(len(items), size)
        values = np.take_along_axis(cosines, chosen, 1)
        order = np.argsort(-values, axis=1, kind="stable")
        chosen, values = np.take_along_axis(chosen, order, 1), np.take_along_axis(values, order, 1)
        akin[:, :size] = np.where(values > 0, np.take_along_axis(items, chosen, 1), NONE)
        likeness[:, :size] = np.maximum(values, 0)
    return akin, likeness
