"""What lists are like apart from accuracy: how much they show, how alike their items are, how little known."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import NONE, Doubles, Floats, Indices, Integers

Lists = Indices
"""Numbers of the items of lists, shape (E, k); -1 where a list is shorter."""


HEAD_SHARE = 0.01
LISTS_AT_ONCE = 1024


def coverage(lists: Lists, items: int) -> float:
    """Share of a catalogue of so many items that stands in at least one list.

    Examples
    --------
    >>> coverage(np.array([[0, 1], [1, -1]], np.int32), 4)
    0.5
    """
    shown = np.unique(lists[lists != NONE])
    return len(shown) / items if items else float("nan")


def diversity(lists: Lists, embeddings: Floats) -> Doubles:
    """Distance of text within each list: the mean of 1 - cosine over its pairs of items.

    Intra-list distance of Smyth and McClave (2001), Similarity vs. diversity. Items without text are left out.

    Parameters
    ----------
    lists
        Shape (E, k).
    embeddings
        Unit length, or all 0 where there is no text, shape (N, e).

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
        part = lists[start : start + LISTS_AT_ONCE]
        counts = known[part].sum(axis=1).astype(np.float64)
        # the square of a sum of unit vectors is their number plus the cosines of all ordered pairs
        sums = padded[part].sum(axis=1, dtype=np.float64)
        pairs = counts * (counts - 1)
        cosines = (sums**2).sum(axis=1) - counts
        alike = np.divide(cosines, pairs, out=np.full(len(part), np.nan), where=pairs > 0)
        distances[start : start + len(part)] = 1 - alike
    return distances


def novelty(lists: Lists, counts: Integers) -> Doubles:
    """Mean over each list of -log2 of the share of events that its items had, each counted once more.

    Self-information of Zhou et al. (2010), Solving the apparent diversity-accuracy dilemma. NaN for an empty list.
    """
    surprise = -np.log2((counts + 1) / (counts.sum() + len(counts)))
    return _mean(lists, surprise)


def head(lists: Lists, counts: Integers) -> Doubles:
    """Share of each list that is of the ``HEAD_SHARE`` of the catalogue with most events; NaN for an empty list."""
    size = max(1, int(len(counts) * HEAD_SHARE))
    popular = np.zeros(len(counts))
    popular[np.argsort(-counts, kind="stable")[:size]] = 1
    return _mean(lists, popular)


def _mean(lists: Lists, of_item: Doubles) -> Doubles:
    """Mean over the items of each list of a value that every item has."""
    present = lists != NONE
    sums = np.where(present, of_item[lists], 0).sum(axis=1)
    count = present.sum(axis=1)
    means: Doubles = np.divide(sums, count, out=np.full(len(lists), np.nan), where=count > 0)
    return means
