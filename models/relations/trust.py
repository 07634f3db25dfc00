"""Trust: how far the votes for an item are believed, by who gave them.

A farm of fake users makes an item popular in the eyes of everyone, and any of its users looks like a new one. But a
fake user with a long history costs as many events as a real one. So votes of users with short histories count in full
only as far as users with longer ones take the item too, in the proportion that is usual in the catalogue.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Reals

BELIEVED = 10.0
"""Votes that are believed of anyone: an item that has just come must be able to rise."""

TOLERANCE = 30.0
"""How many times its usual share of new users an item may have that is taken as steadily as others. Of the items of
MovieLens 100K two to three have more at any time of its first half; with a tolerance of 10 eight have, and the hit
rate is .008 lower."""

SUDDEN = 10.0
"""Part of its tolerance that an item keeps at least, inverse, however suddenly it came up."""

CONFIDENCE = 2.0
"""Standard deviations by which the votes of users with longer histories may be too few by chance."""


PASSES = 2
"""Times that shares are told, each by what is usual among the votes believed before: a farm is not to make it usual."""


def shares(votes: Reals, lately: Reals, ever: Reals) -> Reals:
    """Share of the votes for each item of a catalogue that are believed.

    Parameters
    ----------
    votes
        By users of each tenure, newest users first, shape (N, S).
    lately, ever
        Votes with a short and with a long half-life, shape (N,).

    Returns
    -------
    Shape (N,), above 0 and at most 1.
    """
    found = np.ones(len(votes))
    many = np.flatnonzero(votes.sum(axis=1) > BELIEVED)
    usual = float(lately.sum()) / max(float(ever.sum()), 1e-9)
    sudden = suddenness(lately[many], ever[many], usual)
    totals = votes.sum(axis=0)
    for _ in range(PASSES):
        found[many] = trust(votes[many], totals, sudden)
        totals = found @ votes
    return found


def suddenness(lately: Reals, ever: Reals, usual: float) -> Reals:
    """How many times its usual share of the votes for an item came lately, 1 to ``SUDDEN``.

    Parameters
    ----------
    lately, ever
        Counts of a short and of a long half-life, shape (N,).
    usual
        What the first are of the second over the whole catalogue.

    Examples
    --------
    >>> suddenness(np.array([1.0, 4.0, 10.0, 0.0]), np.array([10.0, 10.0, 10.0, 0.0]), 0.1).tolist()
    [1.0, 4.0, 10.0, 1.0]
    """
    shares = lately / np.maximum(ever, 1e-9)
    return np.asarray(np.clip(shares / max(usual, 1e-9), 1.0, SUDDEN))


def trust(counts: Reals, totals: Reals, sudden: Reals | float = 1.0) -> Reals:
    """Share of the votes for each item that are believed.

    At every length of history that divides users into newer and older ones, the votes o of the older are believed,
    and those n of the newer up to a limit l = ``BELIEVED`` + t * r * (o + ``CONFIDENCE`` * sqrt(o + 1)), where t is
    ``TOLERANCE`` / suddenness, and r is how many votes newer users give for each one of an older user over the whole
    catalogue. Beyond it the item is being pushed, and fewer are believed the more there are: l * (l / n)**2. The least
    share over all lengths counts.

    Parameters
    ----------
    counts
        Votes for the items by users of each tenure, newest users first, not below 0, shape (N, S).
    totals
        Votes for all items, shape (S,).
    sudden
        Of ``suddenness``, shape (N,).

    Returns
    -------
    Shape (N,), above 0 and at most 1.

    Examples
    --------
    >>> totals = np.array([100.0, 900.0])
    >>> trust(np.array([[20.0, 60.0], [500.0, 0.0], [500.0, 500.0], [5.0, 0.0]]), totals).round(2).tolist()
    [1.0, 0.0, 1.0, 1.0]
    """
    least = np.ones(len(counts))
    all_votes = counts.sum(axis=1)
    newer, newer_total = np.zeros(len(counts)), 0.0
    for tenure in range(counts.shape[1] - 1):
        newer = newer + counts[:, tenure]
        newer_total += float(totals[tenure])
        older = all_votes - newer
        older_total = max(float(totals[tenure + 1 :].sum()), 1e-9)
        chance = CONFIDENCE * np.sqrt(np.maximum(older, 0) + 1)
        limit = BELIEVED + TOLERANCE / sudden * newer_total / older_total * (older + chance)
        believed = np.where(newer <= limit, newer, limit * (limit / np.maximum(newer, limit)) ** 2)
        least = np.minimum(least, 1 - (newer - believed) / np.maximum(all_votes, 1e-9))
    return np.asarray(least)
