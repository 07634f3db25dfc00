"""Likeness of texts: which items have embeddings near each other."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import NONE, Floats, Indices, Keys, Mask, Places, Reals

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
    order = np.arange(len(embeddings))
    anew = changed.copy()
    anew |= ((akin != NONE) & changed[akin]).any(axis=1)
    known = embeddings.any(axis=1)
    akin[anew], likeness[anew] = NONE, 0
    searched = np.flatnonzero(anew & known)
    for start in range(0, len(searched), BLOCK):
        block = searched[start : start + BLOCK]
        akin[block], likeness[block] = _nearest_of(block, embeddings, akin.shape[1], order)
    came = np.flatnonzero(changed & known)
    others = np.flatnonzero(known & ~anew)
    for start in range(0, len(came) if len(others) else 0, BLOCK):
        _enter(came[start : start + BLOCK], others, embeddings, akin, likeness, order)
    return akin, likeness


def _nearest_of(block: Places, embeddings: Floats, count: int, order: Places) -> tuple[Indices, Floats]:
    raw = embeddings[block] @ embeddings.T
    raw[np.arange(len(block)), block] = 0
    size = min(count, len(embeddings))
    least = np.partition(raw, -size, axis=1)[:, -size] - 2 * UNIT
    rows, items = np.nonzero((raw >= least[:, None]) & (raw > 0))
    values = cosines(raw[rows, items], embeddings, block[rows], items)
    return best(rows, items, values, (len(block), count), order)


def _enter(
    came: Places,
    others: Places,
    embeddings: Floats,
    akin: Indices,
    likeness: Floats,
    order: Places,
) -> None:
    """Enter items that came among the nearest of others, where they are nearer than those found before."""
    raw = embeddings[others] @ embeddings[came].T
    least = likeness[others, -1]
    rows, places = np.nonzero((raw >= least[:, None] - UNIT) & (raw > 0))
    items = came[places]
    values = cosines(raw[rows, places], embeddings, others[rows], items)
    entered = values >= least[rows]
    moved, *lists = merged(others[rows[entered]], items[entered], values[entered], (akin, likeness), order)
    akin[moved], likeness[moved] = lists


def cosines(raw: Floats, embeddings: Reals, some: Places | Indices, others: Places | Indices) -> Floats:
    """Round cosines of pairs of items, so that they are the same however ``raw`` was computed.

    Parameters
    ----------
    raw
        The cosines as a product of 32 bits gave them, shape (P,).
    embeddings
        Embedding of every item, shape (N, E).
    some, others
        Indices of the two items of each pair, shape (P,).
    """
    rounded = np.asarray(np.round(raw, DECIMALS), np.float32)
    parts = raw.astype(np.float64) / UNIT % 1
    doubtful = np.flatnonzero(np.abs(parts - 0.5) < DOUBT / UNIT)
    for start in range(0, len(doubtful), PAIRS):
        pairs = doubtful[start : start + PAIRS]
        one, other = (embeddings[of[pairs]].astype(np.float64) for of in (some, others))
        rounded[pairs] = np.round(np.einsum("pe,pe->p", one, other), DECIMALS)
    return rounded


def best(
    rows: Places, items: Places | Indices, values: Floats, shape: tuple[int, ...], order: Places | Keys
) -> tuple[Indices, Floats]:
    """Find the nearest items of each row among pairs of rows and items.

    Parameters
    ----------
    rows, items, values
        The pairs, each only once, and their cosines, shape (P,). Those without a positive cosine do not count.
    shape
        Shape of both results, (R, T).
    order
        For every item what decides among equally near ones; the lower comes first, shape (N,).

    Returns
    -------
    The items of each row, nearest first, and their cosines; ``NONE`` and 0 for none.

    Examples
    --------
    >>> rows, items, values = np.array([0, 0, 0]), np.array([1, 2, 3]), np.array([0.5, 0.5, 0.75], np.float32)
    >>> best(rows, items, values, (1, 2), np.array([0, 30, 20, 10]))
    (array([[3, 2]], dtype=int32), array([[0.75, 0.5 ]], dtype=float32))
    """
    akin, likeness = np.full(shape, NONE, np.int32), np.zeros(shape, np.float32)
    positive = values > 0
    rows, items, values = rows[positive], items[positive], values[positive]
    sorting = np.lexsort((order[items], -values, rows))
    rows, items, values = rows[sorting], items[sorting], values[sorting]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = place < shape[1]
    akin[rows[kept], place[kept]] = items[kept]
    likeness[rows[kept], place[kept]] = values[kept]
    return akin, likeness


def merged(
    of: Places | Indices, items: Places, values: Floats, found: tuple[Indices, Floats], order: Places | Keys
) -> tuple[Places, Indices, Floats]:
    """Merge more items with those found before.

    Parameters
    ----------
    of, items, values
        Indices of items whose lists get one more, those that they get, which they did not have, and the cosines, (P,).
    found
        ``akin`` and ``likeness`` of all items, shape (N, T).
    order
        See ``best``.

    Returns
    -------
    Indices of the items whose lists get more, each once, shape (R,), and their new lists, shape (R, T).

    Examples
    --------
    >>> found = np.array([[1], [0], [0]], np.int32), np.array([[0.5], [0.5], [0.25]], np.float32)
    >>> merged(np.array([1]), np.array([2]), np.array([0.75], np.float32), found, np.arange(3))
    (array([1]), array([[2]], dtype=int32), array([[0.75]], dtype=float32))
    """
    akin, likeness = found
    moved, rows = np.unique(of, return_inverse=True)
    known = akin[moved]
    before, places = np.nonzero(known != NONE)
    lists = best(
        np.concatenate([before, rows]),
        np.concatenate([known[before, places], items]),
        np.concatenate([likeness[moved][before, places], values]),
        known.shape,
        order,
    )
    return np.asarray(moved, np.intp), *lists
