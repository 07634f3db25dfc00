"""Confidence: what evidence is worth, learned without a single known link.

What two accounts of one person look like is learned from accounts cut into halves (``fingerprints.halve``). Whoever
has two accounts shows more of herself than a half does, so these odds order pairs well, but are not chances.

Chances come from strangers, whom one platform knows as different users. They are matched with each other in the same
way. Of pairs with a score, as many are wrong as there are pairs of strangers with this score (Elias and Gygi 2007 do so
for proteins). Where nobody has two accounts, there are as many strangers at each score, and no confidence. One more
stranger is thought to be as good as the best pair, so that nothing is ever certain.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression, minimize

from afresh.models.arrays import Doubles, Mask

HOLD = 1.0
"""How strongly weights are held to 0: the inverse of the variance of their normal prior."""


class Odds(NamedTuple):
    """A logistic regression: means and deviations of the evidence, the intercept, and weights; shape (E,) each."""

    means: Doubles
    deviations: Doubles
    intercept: float
    weights: Doubles

    def of(self, evidence: Doubles) -> Doubles:
        """Return the log odds for evidence of shape (P, E)."""
        return (evidence - self.means) / self.deviations @ self.weights + self.intercept


def learn_odds(evidence: Doubles, same: Mask) -> Odds:
    """Learn the weights of evidence, shape (P, E), from pairs of which is known which are one person's.

    Examples
    --------
    >>> odds = learn_odds(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([False, True, False, True]))
    >>> bool((np.diff(odds.of(np.array([[0.0], [1.0], [2.0]]))) > 0).all())
    True
    """
    means, deviations = evidence.mean(axis=0), evidence.std(axis=0) + 1e-9
    inputs = np.column_stack([np.ones(len(evidence)), (evidence - means) / deviations])
    hold = np.full(inputs.shape[1], HOLD)
    hold[0] = 0

    def loss(weights: Doubles) -> tuple[float, Doubles]:
        odds = inputs @ weights
        missed = 1 / (1 + np.exp(-odds.clip(-500, 500))) - same
        value = (np.logaddexp(0, odds) - same * odds).sum() + (hold * weights**2).sum() / 2
        return float(value), inputs.T @ missed + hold * weights

    start = np.zeros(inputs.shape[1])
    share = same.mean().clip(1e-9, 1 - 1e-9)
    start[0] = np.log(share / (1 - share))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    return Odds(means, deviations, float(found[0]), found[1:])


def chances(scores: Doubles, strangers: Doubles, share: float) -> Doubles:
    """Return the chance of each pair to be right, which never falls as scores rise.

    Parameters
    ----------
    scores, strangers
        Scores of pairs that chose each other, shape (n,), and of strangers that did, shape (s,).
    share
        Pairs of different platforms that were compared, for each pair of strangers that was.

    Examples
    --------
    >>> chances(np.array([5.0, 6.0, 7.0, 1.0]), np.array([1.0, 0.5]), 1.0).round(2).tolist()
    [0.67, 0.67, 0.67, 0.0]
    """
    if not len(scores):
        return np.zeros(0)
    every = np.concatenate([scores, strangers, [scores.max()]])
    strange = np.arange(len(every)) >= len(scores)
    order = np.lexsort((strange, every))
    weights = np.where(strange, share, 1.0)
    among = np.empty(len(every))
    among[order] = isotonic_regression(strange[order], weights=weights[order], increasing=False).x
    wrong = among[: len(scores)]
    return np.asarray(1 - np.minimum(wrong / np.maximum(1 - wrong, 1e-9), 1))
