"""Drift: Page-Hinkley tests that find out whether the mean of a stream has moved.

They test many streams at once; each test is six numbers. ADWIN adapts its window and needs no scale, but it keeps a
growing hierarchy of buckets. These tests are written to the changelog with every run. There a small state of fixed
size is worth more than an adaptive window.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Doubles, Mask

DELTA = 0.02
"""Change of a rate, up or down, that does not count as a change."""

THRESHOLD = 40.0
"""Sum of deviations at which a stream counts as drifted. Simulated: a constant rate of .2 raises a false alarm once in
3,500,000 examples, a constant rate of .5 once in 180,000. A fall from .2 to .1 is seen after about 550 examples."""

LEAST = 30
"""Number of values that a test needs before it may report a drift."""

WIDTH = 6
"""Numbers of a test: count and mean of the values; the sum that grows with a rise, and its minimum; the sum that
shrinks with a fall, and its maximum."""


def new(streams: int) -> Doubles:
    """Make tests that have seen nothing, shape (streams, WIDTH)."""
    return np.zeros((streams, WIDTH))


def update(tests: Doubles, counts: Doubles, sums: Doubles) -> Mask:
    """Feed each test new values of its stream, and return which streams have drifted; their tests start anew.

    Page (1954), Continuous inspection schemes, as in river's ``drift.PageHinkley`` with both directions. The values
    come in blocks: deviations of a block are summed against the mean after the block. Sums do not fade. Minima do not
    fade either, and fading sums beside them raise a false alarm every 25,000 values.

    Parameters
    ----------
    tests
        Tests made by ``new``, changed in place, shape (S, WIDTH).
    counts, sums
        Number and sum of the new values, shape (S,).

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
