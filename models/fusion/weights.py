"""Weights: what the fusion has learned, as lists are made with it, and what an example says of them.

The weights depend on the context of the list: z = (c Omega) x. Here x are the features of a candidate (two for each
scorer), and c is the context.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from afresh.models.arrays import Doubles, Floats, Indices, Reals
from afresh.models.compiled import compiled
from afresh.models.fusion.features import FEATURES_PER_SCORER

LEARNED_CANDIDATES = 100
"""Candidates at the head of a list that an example is learned over. Over the whole catalogue the weights would learn
to tell good items from hopeless ones. But the order among the good ones decides a list."""

DIGITS = 4
"""Decimals of a score in a list: more would make lists longer without any use."""


@dataclass(frozen=True)
class Weights:
    """The weights at one moment.

    Attributes
    ----------
    omega
        Omega, shape (len(CONTEXT), F); not changed any more.
    version
        How often the weights had changed. Lists name it.
    """

    omega: Doubles
    version: int = 0

    def in_contexts(self, contexts: Reals) -> Doubles:
        """Compute the weights of the features in each context, shape (U, F), from contexts (U, ``len(CONTEXT)``)."""
        return np.asarray(contexts @ self.omega, np.float64)

    def by_scorer(self) -> Doubles:
        """Return the weight of each scorer, its two features together, without any context; shape (S,)."""
        return np.asarray(self.omega[0].reshape(-1, FEATURES_PER_SCORER).sum(axis=1))


def parts(weights: Doubles, values: Floats) -> Floats:
    """Compute what each scorer adds to the final score, shape (C, S), from weights (2 S,) and features (C, 2 S)."""
    products = (weights.astype(np.float32) * values).reshape(
        len(values), len(weights) // FEATURES_PER_SCORER, FEATURES_PER_SCORER
    )
    return np.asarray(products.sum(axis=2), np.float32)


@compiled
def fuse(weights: Floats, values: Floats) -> Floats:
    """Compute the final score of each candidate, shape (C,), from weights (2 S,) and features (C, 2 S)."""
    scores = np.zeros(len(values), np.float32)
    by_feature = values.T
    for feature in range(len(weights)):
        for place in range(len(scores)):
            scores[place] += weights[feature] * by_feature[feature, place]
    return scores


@compiled
def largest_parts(
    weights: Floats, values: Floats, places: Indices, count: int
) -> tuple[Indices, Doubles, Doubles]:
    """Find the scorers that added or took away most, for some candidates.

    Parameters
    ----------
    weights, values
        Weights (2 S,) and features (C, 2 S).
    places
        Places of the candidates, shape (k,).
    count
        Number of scorers to find for each.

    Returns
    -------
    The numbers of the scorers, the largest first, ties by number, shape (k, count); what they added, and at the end
    what all others added together, shape (k, count + 1); and the sum of both, shape (k,). All are rounded to
    ``DIGITS`` decimals.
    """
    scorers = len(weights) // FEATURES_PER_SCORER
    numbers = np.empty((len(places), count), np.int32)
    parts, sums = np.zeros((len(places), count + 1)), np.zeros(len(places))
    added = np.empty(scorers, np.float64)
    for row in range(len(places)):
        for scorer in range(scorers):
            both = np.float32(0)
            for feature in range(FEATURES_PER_SCORER * scorer, FEATURES_PER_SCORER * (scorer + 1)):
                both += weights[feature] * values[places[row], feature]
            added[scorer] = both
            sums[row] += both
        sums[row] = rounded(sums[row])
        left = sums[row]
        for column in range(count):
            largest = 0
            for scorer in range(1, scorers):
                if abs(added[scorer]) > abs(added[largest]):
                    largest = scorer
            numbers[row, column], parts[row, column] = largest, rounded(added[largest])
            left -= parts[row, column]
            added[largest] = 0
        parts[row, count] = rounded(left)
    return numbers, parts, sums


@compiled
def rounded(number: float) -> float:
    """Round to ``DIGITS`` decimals."""
    return float(np.rint(number * 10.0**DIGITS) / 10.0**DIGITS)


def gradient(weights: Doubles, values: Floats, taken: int) -> Floats:
    """Compute the gradient of an example's loss by the weights of the features, float32, shape (F,).

    The loss is the cross-entropy of a softmax over the candidates, one of which was taken: a conditional logit
    (McFadden 1974). Its gradient is the mean of the features, as the softmax expects them, less those of the candidate
    taken. The gradient by Omega is the outer product of the context and this.

    Parameters
    ----------
    weights
        Weights of the features in the context of the list, shape (F,).
    values
        Features of the candidates as they were when the list was made, shape (C, F).
    taken
        Place of the item taken among the candidates.

    Examples
    --------
    >>> gradient(np.zeros(2), np.array([[1, 0], [0, 1]], np.float32), 0).tolist()
    [-0.5, 0.5]
    """
    logits = values @ weights
    chances = np.exp(logits - logits.max())
    return np.asarray(chances @ values / chances.sum() - values[taken], np.float32)
