"""Likeness of texts: which items have embeddings near each other."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import NONE, Floats, Indices, Mask, Places

BLOCK = 512
"""Number of items that are compared with all others at a time."""

DECIMALS = 4
"""Decimals of a cosine. Its last bits depend on the shape of the product, on threads and on the machine."""

UNIT = 10.0**-DECIMALS

DOUBT = 2e-6
"""Largest error of a cosine of 32 bits. One that lies so close to where rounding changes is computed anew, exactly."""

PAIRS = 4096
"""Number of cosines that are computed exactly at a time."""


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


def _nearest_of(block: Places, embeddings: Floats, count: int) -> tuple[Indices, Floats]:
    raw = embeddings[block] @ embeddings.T
    raw[np.arange(len(block)), block] = 0
    size = min(count, len(embeddings))
    least = np.partition(raw, -size, axis=1)[:, -size] - 2 * UNIT
    rows, items = np.nonzero((raw >= least[:, None]) & (raw > 0))
    values = _cosines(raw[rows, items], embeddings, block[rows], items)
    return _best(rows, items, values, (len(block), count))


def _enter(
    came: Places,
    others: Places,
    embeddings: Floats,
    akin: Indices,
    likeness: Floats,
) -> None:
    """Enter items that came among the nearest of others, where they are nearer than those found before."""
    raw = embeddings[others] @ embeddings[came].T
    least = likeness[others, -1]
    rows, places = np.nonzero((raw >= least[:, None] - UNIT) & (raw > 0))
    items = came[places]
    values = _cosines(raw[rows, places], embeddings, others[rows], items)
    entered = values >= least[rows]
    rows, items, values = rows[entered], items[entered], values[entered]
    moved, rows = np.unique(rows, return_inverse=True)
    known = akin[others[moved]]
    before, places = np.nonzero(known != NONE)
    akin[others[moved]], likeness[others[moved]] = _best(
        np.concatenate([before, rows]),
        np.concatenate([known[before, places], items]),
        np.concatenate([likeness[others[moved]][before, places], values]),
        known.shape,
    )


def _cosines(raw: Floats, embeddings: Floats, some: Places, others: Places) -> Floats:
    """Round cosines of pairs of items, so that they are the same however ``raw`` was computed."""
    rounded = np.asarray(np.round(raw, DECIMALS), np.float32)
    parts = raw.astype(np.float64) / UNIT % 1
    doubtful = np.flatnonzero(np.abs(parts - 0.5) < DOUBT / UNIT)
    for start in range(0, len(doubtful), PAIRS):
        pairs = doubtful[start : start + PAIRS]
        one, other = (embeddings[of[pairs]].astype(np.float64) for of in (some, others))
        rounded[pairs] = np.round(np.einsum("pe,pe->p", one, other), DECIMALS)
    return rounded


def _best(rows: Places, items: Places, cosines: Floats, shape: tuple[int, ...]) -> tuple[Indices, Floats]:
    """Find the nearest items of each row among pairs of rows and items; both results have the shape (R, count)."""
    akin, likeness = np.full(shape, NONE, np.int32), np.zeros(shape, np.float32)
    positive = cosines > 0
    rows, items, cosines = rows[positive], items[positive], cosines[positive]
    order = np.lexsort((items, -cosines, rows))
    rows, items, cosines = rows[order], items[order], cosines[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = place < shape[1]
    akin[rows[kept], place[kept]] = items[kept]
    likeness[rows[kept], place[kept]] = cosines[kept]
    return akin, likeness
