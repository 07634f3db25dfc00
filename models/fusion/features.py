"""Features: what the fusion reads of the scorers' scores, and the context that its weights depend on."""

from __future__ import annotations

import math

import numpy as np

from afresh.models.arrays import Doubles, Floats, Indices, Integers, Reals
from afresh.models.compiled import compiled, log2

FEATURES_PER_SCORER = 2

SCORE_LIMIT = np.float32(1e30)
SCORE_LEAST = np.float32(1e-30)
"""Bounds of a score. Beyond them it would overflow when summed or inverted."""

LOG_FLOOR = np.float32(1e-3)
"""Fraction of the mean score that is added before the logarithm."""

LN_2 = np.float32(math.log(2))

CONTEXT = ("always", "history", "gap", "same_moment", "newcomer")
"""Names of the numbers in a context, which the weights depend on; see ``context``."""

NEWCOMER = 3.0
"""Number of items taken after which a user is hardly new any more. Weights are learned from all users, and new users
have few of the events: without a context of their own they would not count. With it 14 % of users' second to fifth
events were hit, without it 7 % (second quarter of MovieLens 1M)."""


def features(scores: Floats, ranked: int | None = None) -> Floats:
    """Make two features of every score: log(x / mean + floor) and (x / max)**0.5, over a user's candidates.

    The logarithm tells the many poor candidates apart, and the root the few good ones. The features are not centred,
    because a softmax ignores what is added to all candidates of a user.

    Parameters
    ----------
    scores
        Scores of candidates, not below 0, shape (S, C). NaN and negative scores count as 0, infinity as the limit.
    ranked
        Mean and max go over the first ``ranked`` candidates, over all by default. The other candidates count at most
        as the best of these.

    Returns
    -------
    Shape (C, 2 S): the two features of the first scorer, then those of the second, and so on. They are 0 for a scorer
    that scores nothing for a user.

    Examples
    --------
    >>> features(np.array([[0, 1, 4]], np.float32))[:, 1].tolist()
    [0.0, 0.5, 1.0]
    """
    values = np.empty((FEATURES_PER_SCORER * len(scores), scores.shape[1]), np.float32)
    broken = np.zeros(len(scores), np.int64)
    fill(scores.copy(), scores.shape[1] if ranked is None else ranked, values, broken)
    return values.T


@compiled
def fill(scores: Floats, ranked: int, values: Floats, broken: Integers) -> None:
    """Fill in the features of scores; ``features`` says what they are.

    Parameters
    ----------
    scores
        See ``features``; what is no score is replaced by what it counts as.
    ranked
        See ``features``.
    values
        The features to fill in, shape (2 S, C).
    broken
        Is set to 1 for the scorers of which a score is NaN, infinite or negative, shape (S,).
    """
    floor = np.float32(LOG_FLOOR)
    for row in range(len(scores)):
        total, largest = np.float32(0), np.float32(0)
        for place in range(scores.shape[1]):
            score = scores[row, place]
            # Every comparison with NaN is false.
            if not (score >= 0 and score < np.inf):
                broken[row] = 1
                score = SCORE_LIMIT if score > 0 else np.float32(0)
            score = min(score, SCORE_LIMIT)
            scores[row, place] = score
            if place < ranked:
                total += score
                largest = max(largest, score)
        mean = total / np.float32(max(ranked, 1))
        by_mean = np.float32(1) / max(mean, SCORE_LEAST)
        by_largest = np.float32(1) / max(largest, SCORE_LEAST)
        for place in range(scores.shape[1]):
            if mean == 0:
                values[2 * row, place] = values[2 * row + 1, place] = np.float32(0)
            else:
                score = min(scores[row, place], largest)
                values[2 * row, place] = LN_2 * log2(score * by_mean + floor)
                values[2 * row + 1, place] = np.sqrt(score * by_largest)


@compiled
def split(values: Floats, places: Indices) -> tuple[Floats, Floats]:
    """Return the logarithms and the roots of some candidates apart, each of shape (k, S), from features (C, 2 S)."""
    logarithms = np.empty((len(places), values.shape[1] // 2), np.float32)
    roots = np.empty_like(logarithms)
    by_feature = values.T
    for scorer in range(logarithms.shape[1]):
        for row in range(len(places)):
            logarithms[row, scorer] = by_feature[2 * scorer, places[row]]
            roots[row, scorer] = by_feature[2 * scorer + 1, places[row]]
    return logarithms, roots


def context(lengths: Integers, gaps: Reals) -> Doubles:
    """Compute the context of each user's list.

    Parameters
    ----------
    lengths
        Number of items that each user has taken so far, shape (U,).
    gaps
        Seconds between the last two of them, shape (U,); NaN for users with one item or none.

    Returns
    -------
    Shape (U, 5), in the order of ``CONTEXT``: always 1; length and gap, both on a logarithmic scale of about -1 to 1;
    1 if the gap is 0, else 0; and 1 for new users, which falls to 0 as their history grows.

    Examples
    --------
    >>> context(np.array([0]), np.array([np.nan])).tolist()
    [[1.0, -1.0, 0.0, 0.0, 1.0]]
    """
    known = np.isfinite(gaps) & (gaps >= 0)
    seconds = np.where(known, gaps, 0)
    length = np.log1p(np.maximum(lengths, 0)) / 3 - 1
    newcomer = np.exp(-np.maximum(lengths, 0) / NEWCOMER)
    gap = np.where(known, np.minimum(np.log1p(seconds) / 8, 2) - 0.5, 0)
    same_moment = known & (seconds == 0)
    return np.stack([np.ones(len(lengths)), length, gap, same_moment, newcomer], axis=1).astype(np.float64)
