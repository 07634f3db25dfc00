"""Guard: are the lists significantly worse than they were, and worse than popularity's? A test that may look any time.

Two e-detectors (Shin, Ramdas and Rinaldo 2023, E-detectors: a nonparametric framework for sequential change detection)
bet on each example at fair odds:

* that popularity's list would have held an item taken more often than the list served: the payoff of an example is
  d = (popularity hit) - (served hit), of mean 0 or less while the lists are no worse than popularity's;
* that the hit rate has fallen below ``TOLERATED`` of what it was: the payoff is
  d = TOLERATED * past rate - (served hit).

A bet of the fraction b of one's wealth multiplies it by 1 + b d (Waudby-Smith and Ramdas 2024, Estimating means of
bounded random variables by betting, section 4), which on average gains nothing while all is well. Wealth below 1 starts
at 1 again, as in CUSUM, so that a long good past does not delay the alarm. With an alarm at a wealth of ``ALARM``
in both, the expected time to a false alarm is at least ``ALARM`` blocks of examples, and far longer where only one
of the two is near its limit.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Doubles

BETS = np.array([0.1, 0.3, 0.9])
"""Fractions of wealth: the larger a fall, the larger the bet that finds it soonest. A detector is their mean."""

TOLERATED = 0.8
"""Part of the past hit rate that may go without harm: rates wander with the people who come."""

ALARM = 1000.0
"""Wealth of both detectors at which the lists count as broken."""

SUSPICION = 20.0
"""Wealth of both from which no snapshot counts as good."""


def start() -> Doubles:
    """Detectors that have seen nothing: logarithms of wealth, shape (2, len(BETS))."""
    return np.zeros((2, len(BETS)))


def bet(wealth: Doubles, judged: float, hits: float, lost: float, won: float, past_rate: float) -> Doubles:
    """Return the detectors after a block of examples.

    Parameters
    ----------
    wealth
        Of ``start``.
    judged, hits
        Examples of the block, and how many of the items taken were in the list served.
    lost, won
        Examples where only popularity's list held the item taken, and where only the list served did.
    past_rate
        Hit rate of the lists served while all was well.

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
    """Wealth of the poorer detector, its bets together."""
    return float(np.exp(np.minimum(wealth, 700.0)).mean(axis=1).min())


def broken(wealth: Doubles) -> bool:
    """Whether the lists are significantly worse than they were and than popularity's."""
    return evidence(wealth) >= ALARM


def suspicious(wealth: Doubles) -> bool:
    """Whether there is reason to doubt what is served."""
    return evidence(wealth) >= SUSPICION
