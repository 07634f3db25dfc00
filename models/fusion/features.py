"""Features: what the fusion reads of the scorers' scores, and the context that its weights depend on."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Doubles, Floats, Integers, Reals

FEATURES_PER_SCORER = 2

SCORE_LIMIT = np.float32(1e30)
SCORE_LEAST = np.float32(1e-30)
"""Bounds of a score. Beyond them it would overflow when summed or inverted."""

LOG_FLOOR = np.float32(1e-3)
"""Fraction of the mean score that is added before the logarithm."""

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
    usable = np.fmin(np.fmax(scores, np.float32(0)), SCORE_LIMIT)
    among = usable[:, :ranked]
    mean = among.sum(axis=1, keepdims=True) / np.float32(max(among.shape[1], 1))
    largest = among.max(axis=1, keepdims=True, initial=0)
    usable = np.minimum(usable, largest)
    pairs = np.empty((scores.shape[1], len(scores), FEATURES_PER_SCORER), np.float32)
    pairs[:, :, 0] = np.log(usable * _inverse(mean) + LOG_FLOOR).T
    pairs[:, :, 1] = np.sqrt(usable * _inverse(largest)).T
    pairs[:, mean[:, 0] == 0] = 0
    return pairs.reshape(scores.shape[1], len(scores) * FEATURES_PER_SCORER)


def broken(scores: Floats) -> Integers:
    """Return the numbers of the scorers of which a score is NaN, infinite or negative; these are no scores.

    Examples
    --------
    >>> broken(np.array([[0, 1], [np.nan, 1], [0, -1]], np.float32)).tolist()
    [1, 2]
    """
    # Every comparison with NaN is false.
    sound = (scores >= 0) & (scores < np.inf)
    return np.flatnonzero(~sound.all(axis=1))


def _inverse(values: Floats) -> Floats:
    return np.asarray(1 / np.maximum(values, SCORE_LEAST), np.float32)


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
