"""Defines a scorer, and what the families share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.retrieval.asking import Asked, Items

WARM_EXAMPLES = np.float32(5.0)
"""Number of examples after which an item counts as half known."""


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
        (``models.fusion.fusion.features``).
    by_votes
        Whether scores grow with how often an item was taken. Such scores are multiplied by the share of the item's
        votes that is believed (``models.relations.trust``).
    """

    priors: dict[str, tuple[float, float]]
    score: Callable[[Asked, Indices], Floats]
    by_votes: bool = False


def coldness(items: Items, chosen: Indices) -> Floats:
    """Compute how new candidates are, w / (w + times taken), with w = ``WARM_EXAMPLES``: float32, shape (C,)."""
    return np.asarray(WARM_EXAMPLES / (WARM_EXAMPLES + items.examples[chosen]), np.float32)
