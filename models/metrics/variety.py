"""Measures of lists apart from accuracy: coverage of the catalogue, and how alike and how well known the items are."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import NONE, Doubles, Floats, Indices, Integers

Lists = Indices
"""The items of lists, as numbers, shape (E, k); -1 where a list is shorter."""


HEAD_SHARE = 0.01
LISTS_AT_ONCE = 1024


def coverage(lists: Lists, items: int) -> float:
    """Return the share of a catalogue of ``items`` items that is in at least one list.

    Examples
    --------
    >>> coverage(np.array([[0, 1], [1, -1]], np.int32), 4)
    0.5
    """
    shown = np.unique(lists[lists != NONE])
    return len(shown) / items if items else float("nan")


def diversity(lists: Lists, embeddings: Floats) -> Doubles:
    """Compute the distance of texts within each list: the mean of 1 - cosine over its pairs of items.

    This is the intra-list distance of Smyth and McClave (2001), Similarity vs. diversity. Items without text are left
    out.

    Parameters
    ----------
    lists
        Items of the lists, shape (E, k).
    embeddings
        Embedding of each item, of unit length, or all 0 if it has no text, shape (N, e).

    Returns
    -------
    Shape (E,); NaN for a list with fewer than two texts.

    Examples
    --------
    >>> diversity(np.array([[0, 1], [0, 0], [0, -1]], np.int32), np.eye(2, dtype=np.float32)).tolist()
    [1.0, 0.0, nan]
    """
    known = np.append(embeddings.any(axis=1), False)
    padded = np.concatenate([embeddings, np.zeros((1, embeddings.shape[1]), embeddings.dtype)])
    distances = np.full(len(lists), np.nan)
    for start in range(0, len(lists), LISTS_AT_ONCE):
        block = lists[start : start + LISTS_AT_ONCE]
        counts = known[block].sum(axis=1).astype(np.float64)
        # The square of a sum of unit vectors is their number plus the cosines of all ordered pairs.
        sums = padded[block].sum(axis=1, dtype=np.float64)
        pairs = counts * (counts - 1)
        cosines = (sums**2).sum(axis=1) - counts
        alike = np.divide(cosines, pairs, out=np.full(len(block), np.nan), where=pairs > 0)
        distances[start : start + len(block)] = 1 - alike
    return distances


def novelty(lists: Lists, counts: Integers) -> Doubles:
    """Compute the mean of -log2(share of events) over the items of each list; NaN for an empty list.

    Each item counts one event more than it had. This is the self-information of Zhou et al. (2010), Solving the
    apparent diversity-accuracy dilemma.
    """
    surprise = -np.log2((counts + 1) / (counts.sum() + len(counts)))
    return _mean(lists, surprise)


def head(lists: Lists, counts: Integers) -> Doubles:
    """Return the share of each list that belongs to the head of the catalogue; NaN for an empty list.

    The head is the ``HEAD_SHARE`` of the items with the most events.
    """
    size = max(1, int(len(counts) * HEAD_SHARE))
    popular = np.zeros(len(counts))
    popular[np.argsort(-counts, kind="stable")[:size]] = 1
    return _mean(lists, popular)


def _mean(lists: Lists, of_item: Doubles) -> Doubles:
    """Average a value of each item over the items of each list."""
    present = lists != NONE
    sums = np.where(present, of_item[lists], 0).sum(axis=1)
    count = present.sum(axis=1)
    means: Doubles = np.divide(sums, count, out=np.full(len(lists), np.nan), where=count > 0)
    return means
