"""Drift: has the mean of a stream moved? Page-Hinkley tests of many streams at once, in six numbers each.

ADWIN adapts its window and needs no scale, but keeps a growing hierarchy of buckets; these tests are written to the
changelog with every run, so that a bounded state that is plain numbers is worth more than an adaptive window.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Doubles, Mask

DELTA = 0.02
"""Change of a rate that is none, up or down."""

THRESHOLD = 40.0
"""Sum of deviations at which a stream has drifted. Simulated: of a rate of .2 that stays as it is, one example in
3,500,000 raises a false alarm, of .5 one in 180,000; a fall from .2 to .1 is seen after some 550."""

LEAST = 30
"""Values before a test may speak."""

WIDTH = 6
"""Numbers of a test: values, their mean, sum and least sum of what came above it, sum and most of what came below."""


def new(streams: int) -> Doubles:
    """Tests that have seen nothing, shape (streams, WIDTH)."""
    return np.zeros((streams, WIDTH))


def update(tests: Doubles, counts: Doubles, sums: Doubles) -> Mask:
    """Show each test some more values of its stream, and say which streams have drifted; those start anew.

    Page (1954), Continuous inspection schemes, as in river's ``drift.PageHinkley`` with both directions; for a block
    of n values the deviations are summed against the mean after the block. Sums do not fade: while minima stay, fading
    sums raise a false alarm every 25,000 values.

    Parameters
    ----------
    tests
        Of ``new``, changed in place, shape (S, WIDTH).
    counts, sums
        Number and sum of the values that came, shape (S,).

    Returns
    -------
    Mask of shape (S,).

    Examples
    --------
    >>> tests = new(2)
    >>> for _ in range(20):
    ...     _ = update(tests, np.array([50.0, 50.0]), np.array([10.0, 10.0]))
    >>> [update(tests, np.array([50.0, 50.0]), np.array([0.0, 10.0])).tolist() for _ in range(6)][-1]
    [True, False]
    """
    values, mean, above, least, below, most = tests.T
    came = counts > 0
    values += counts
    mean += np.where(came, (sums - counts * mean) / np.maximum(values, 1), 0)
    deviation, slack = sums - counts * mean, counts * DELTA
    above += deviation - slack
    below += deviation + slack
    np.minimum(least, above, out=least)
    np.maximum(most, below, out=most)
    drifted = came & (values >= LEAST) & ((above - least > THRESHOLD) | (most - below > THRESHOLD))
    tests[drifted] = 0
    return np.asarray(drifted)
