"""Guard: tests whether the lists are significantly worse than before, and worse than popularity's.

One may look at the test at any time. It has two e-detectors (Shin, Ramdas and Rinaldo 2023, E-detectors: a
nonparametric framework for sequential change detection). Each bets on every example at fair odds:

* One bets that popularity's list holds the item taken more often than the served list. The payoff of an example is
  d = (popularity hit) - (served hit). Its mean is 0 or less while the lists are no worse than popularity's.
* The other bets that the hit rate has fallen below ``TOLERATED`` times its past value. The payoff is
  d = TOLERATED * past rate - (served hit).

A bet of the fraction b of one's wealth multiplies the wealth by 1 + b d (Waudby-Smith and Ramdas 2024, Estimating means
of bounded random variables by betting, section 4). On average it gains nothing while all is well. Wealth below 1 starts
at 1 again, as in CUSUM, so that a long good past does not delay the alarm. The alarm comes at a wealth of ``ALARM`` in
both detectors. The expected time to a false alarm is at least ``ALARM`` blocks of examples. It is far longer where only
one of the two is near its limit.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Doubles

BETS = np.array([0.1, 0.3, 0.9])
"""Fractions of wealth that are bet. A large bet finds a large fall soonest, a small bet a small fall. The wealth of a
detector is the mean over its bets."""

TOLERATED = 0.8
"""Fraction of the past hit rate down to which a fall is tolerated: rates wander with the people who come."""

ALARM = 1000.0
"""Wealth of both detectors at which the lists count as broken."""

SUSPICION = 20.0
"""Wealth of both detectors from which on no snapshot counts as good."""


def start() -> Doubles:
    """Make detectors that have seen nothing: logarithms of wealth, shape (2, len(BETS))."""
    return np.zeros((2, len(BETS)))


def bet(wealth: Doubles, judged: float, hits: float, lost: float, won: float, past_rate: float) -> Doubles:
    """Return the detectors after a block of examples.

    Parameters
    ----------
    wealth
        Detectors made by ``start`` or by an earlier call.
    judged, hits
        Number of examples in the block, and in how many the served list held the item taken.
    lost, won
        Number of examples in which only popularity's list held the item taken, and in which only the served list did.
    past_rate
        Hit rate of the served lists while all was well.

    Examples
    --------
    >>> wealth = start()
    >>> for _ in range(6):
    ...     wealth = bet(wealth, judged=50, hits=0, lost=4, won=0, past_rate=0.2)
    >>> broken(wealth)
    True
    >>> broken(bet(start(), judged=1000, hits=150, lost=40, won=90, past_rate=0.2))
    False
    """
    tolerated = TOLERATED * past_rate
    gains = np.stack(
        [
            lost * np.log1p(BETS) + won * np.log1p(-BETS),
            hits * np.log1p(BETS * (tolerated - 1)) + (judged - hits) * np.log1p(BETS * tolerated),
        ]
    )
    return np.asarray(np.maximum(wealth, 0) + gains)


def evidence(wealth: Doubles) -> float:
    """Return the wealth of the poorer detector, as the mean over its bets."""
    return float(np.exp(np.minimum(wealth, 700.0)).mean(axis=1).min())


def broken(wealth: Doubles) -> bool:
    """Return whether the lists are significantly worse than before, and than popularity's."""
    return evidence(wealth) >= ALARM


def suspicious(wealth: Doubles) -> bool:
    """Return whether there is reason to doubt the served lists."""
    return evidence(wealth) >= SUSPICION
