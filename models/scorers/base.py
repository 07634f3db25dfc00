"""Defines a scorer, and what the families share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from afresh.models.arrays import NONE, Floats, Indices
from afresh.models.compiled import compiled, exp2
from afresh.models.retrieval.asking import Asked, History, Items

WARM_EXAMPLES = np.float32(5.0)
"""Number of examples after which an item counts as half known."""


Fill = Callable[[History, Items, Indices, Indices, Floats], None]
"""Compiled form of a scorer: fills in the scores of candidates.

It is given the history, the items, the candidates, shape (C,), the place of every item of the Catalogue among them,
``NONE`` for all others, shape (N,), and the scores to fill in, all 0 so far, shape (len(priors), C).
"""


@dataclass(frozen=True)
class Scorer:
    """One scorer, or a family of scorers that share their work.

    ``models.scorers.contract`` says what a scorer must keep to, and checks it.

    Attributes
    ----------
    priors
        By name of the scorer: the weights of its two features (logarithm, root) before anything is learned.
    score
        Computes the raw scores of candidates, which are distinct indices of the Catalogue. Scores are finite, not below
        0, float32, shape (len(priors), C), in the order of ``priors``. Only their proportions count
        (``models.fusion.features``). It is plain numpy, and says what the compiled form computes.
    by_votes
        Whether scores grow with how often an item was taken. Such scores are multiplied by the share of the item's
        votes that is believed (``models.relations.trust``).
    fill
        The compiled form of ``score``; see ``Fill``. A scorer without one works, but its lists are made one by one, and
        under the GIL.
    """

    priors: dict[str, tuple[float, float]]
    score: Callable[[Asked, Indices], Floats]
    by_votes: bool = False
    fill: Fill | None = None


def filled(scorer: Scorer, asked: Asked, chosen: Indices) -> Floats:
    """Compute the raw scores of candidates by the compiled form of a scorer; see ``Scorer.score``."""
    places = np.full(len(asked.items.keys), NONE, np.int32)
    places[chosen] = np.arange(len(chosen))
    scores = np.zeros((len(scorer.priors), len(chosen)), np.float32)
    if scorer.fill is not None:
        scorer.fill(asked.history, asked.items, chosen, places, scores)
    return scores


def coldness(items: Items, chosen: Indices) -> Floats:
    """Compute how new candidates are, w / (w + times taken), with w = ``WARM_EXAMPLES``: float32, shape (C,)."""
    return np.asarray(WARM_EXAMPLES / (WARM_EXAMPLES + items.examples[chosen]), np.float32)


@compiled
def coldness_of(examples: int) -> np.float32:
    """Compute how new an item is that was taken so many times; see ``coldness``."""
    return WARM_EXAMPLES / (WARM_EXAMPLES + np.float32(examples))


@compiled
def left_of(age_ms: int, half_life_ms: float) -> np.float32:
    """Compute which share of a count is left after a time; see ``models.learning.popularity.decayed``.

    Examples
    --------
    >>> float(left_of(2_000, 1_000.0)), float(left_of(10**12, 1.0))
    (0.25, 0.0)
    """
    halved = np.float32(-age_ms / half_life_ms)
    # Less than exp2 can tell is nothing: else all old counts would look alike.
    return exp2(halved) if halved > -126 else np.float32(0)
