"""Trust: how many of the votes for an item are believed, depending on who gave them.

A farm of fake users makes an item popular for everyone, and each fake user looks like a new user. But a fake user with
a long history costs as many events as a real one. So votes of users with short histories count in full only if users
with longer histories take the item too, in the proportion that is usual in the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from afresh.models.arrays import Reals

BELIEVED = 10.0
"""Number of votes that are always believed, so that an item that has just come can rise."""

TOLERANCE = 30.0
"""How many times the usual share of newer users an item may have if it is taken as steadily as others. In the first
half of MovieLens 100K two to three items exceed it at any time. With a tolerance of 10 eight items do, and the hit rate
is .008 lower."""

SUDDEN = 10.0
"""Upper limit of suddenness: an item keeps at least 1 / ``SUDDEN`` of its tolerance, however suddenly it came up."""

CONFIDENCE = 2.0
"""Number of standard deviations by which the votes of older users may be too few by chance."""


PASSES = 2
"""Number of times that shares are computed. Each pass takes as usual what is usual among the votes believed before, so
that a farm cannot make its own votes usual."""


@dataclass(frozen=True)
class Usual:
    """What is usual in a catalogue.

    Attributes
    ----------
    lately
        The recent share of all votes: the sum of ``lately`` divided by the sum of ``ever``.
    totals
        Votes for all items by users of each tenure that are believed, shape (S,).
    """

    lately: float
    totals: Reals


def usual(votes: Reals, lately: Reals, ever: Reals) -> Usual:
    """Find what is usual in a catalogue of N items; see ``shares`` for the arguments."""
    found = Usual(float(lately.sum()) / max(float(ever.sum()), 1e-9), votes.sum(axis=0))
    for _ in range(PASSES - 1):
        found = Usual(found.lately, shares(votes, lately, ever, found) @ votes)
    return found


def shares(votes: Reals, lately: Reals, ever: Reals, usual: Usual) -> Reals:
    """Compute the share of the votes for each item that is believed.

    Parameters
    ----------
    votes
        Votes for each item by users of each tenure, newest users first, shape (N, S).
    lately, ever
        Votes for each item with a short and with a long half-life, shape (N,).
    usual
        What is usual in the whole catalogue.

    Returns
    -------
    Share for each item, shape (N,), above 0 and at most 1. All votes are believed where nothing is usual yet: the first
    items that people take would else count as pushed.
    """
    found = np.ones(len(votes))
    if not usual.totals.any():
        return found
    many = np.flatnonzero(votes.sum(axis=1) > BELIEVED)
    sudden = suddenness(lately[many], ever[many], usual.lately)
    found[many] = trust(votes[many], usual.totals, sudden)
    return found


def suddenness(lately: Reals, ever: Reals, usual: float) -> Reals:
    """Compute the recent share of the votes for each item, as a multiple of the usual share, 1 to ``SUDDEN``.

    Parameters
    ----------
    lately, ever
        Votes for each item with a short and with a long half-life, shape (N,).
    usual
        The recent share over the whole catalogue: the sum of ``lately`` divided by the sum of ``ever``.

    Examples
    --------
    >>> suddenness(np.array([1.0, 4.0, 10.0, 0.0]), np.array([10.0, 10.0, 10.0, 0.0]), 0.1).tolist()
    [1.0, 4.0, 10.0, 1.0]
    """
    shares = lately / np.maximum(ever, 1e-9)
    return np.asarray(np.clip(shares / max(usual, 1e-9), 1.0, SUDDEN))


def trust(counts: Reals, totals: Reals, sudden: Reals | float = 1.0) -> Reals:
    """Compute the share of the votes for each item that is believed.

    Each tenure divides users into newer and older ones. All o votes of older users are believed. The n votes of newer
    users are believed up to a limit l = ``BELIEVED`` + t * r * (o + ``CONFIDENCE`` * sqrt(o + 1)). Here t is
    ``TOLERANCE`` / suddenness. And r is the number of votes that newer users give for each vote of an older user, over
    the whole catalogue. Beyond the limit somebody pushes the item: the more votes there are, the fewer are believed,
    l * (l / n)**2. The least share over all divisions counts.

    Parameters
    ----------
    counts
        Votes for each item by users of each tenure, newest users first, not below 0, shape (N, S).
    totals
        Votes for all items by users of each tenure, shape (S,).
    sudden
        Suddenness of each item, from ``suddenness``, shape (N,).

    Returns
    -------
    Share for each item, shape (N,), above 0 and at most 1.

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
