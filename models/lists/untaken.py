"""Untaken: how far items that nobody has taken may rise in a list for users of whom nothing is known.

Weights that have learned from a few users can put all untaken items before all others, because to most scorers they
look alike. The counts say how likely that is. With N_c items that were taken c times, an item that nobody has taken
would be taken N_1 / N_0 times in as many events as there were (Good 1953, The population frequencies of species and
the estimation of population parameters). Where new items are soon taken this is a large number, else it is near 0. An
untaken item does not stand before an item that was taken more often.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Floats, Mask


def expected_takes(never: int, once: int) -> float:
    """Estimate how often an untaken item would have been taken, from how many items never were, and how many once.

    Examples
    --------
    >>> expected_takes(4, 1)
    0.25
    """
    return once / max(never, 1)


def held_back(scores: Floats, untaken: Mask, proven: Mask) -> Floats:
    """Lower the scores of untaken items to just below the lowest score of a proven one.

    Parameters
    ----------
    scores
        Score of each candidate, shape (C,).
    untaken
        Whether nobody has taken it, shape (C,).
    proven
        Whether it was taken more often than is expected of an untaken item, shape (C,).

    Examples
    --------
    >>> held_back(np.array([3, 2, 1], np.float32), np.array([True, False, True]), np.array([False, True, False])) < 2
    array([ True, False,  True])
    """
    limit = np.nextafter(scores[proven].min(initial=np.inf), -np.inf, dtype=np.float32)
    return np.asarray(np.where(untaken, np.minimum(scores, limit), scores))
