"""What a scorer is, and what the families share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.retrieval.asking import Asked, Items

WARM_EXAMPLES = np.float32(5.0)
"""Examples after which an item counts as half known."""


@dataclass(frozen=True)
class Scorer:
    """One scorer, or a family of them that share their work.

    What one has to keep to is written down, and tried out, in ``models.scorers.contract``.

    Attributes
    ----------
    priors
        By name of the scorer: the weights of its two features (logarithm, root) before anything is learned.
    score
        Raw scores of candidates, given as indices of the Catalogue, each once: finite, not below 0, float32, shape
        (len(priors), C) in the order of ``priors``. Only what they are in proportion to one another counts
        (``models.fusion.fusion.features``).
    by_votes
        Whether scores grow with the times that an item was taken, and are believed as far as those are.
    """

    priors: dict[str, tuple[float, float]]
    score: Callable[[Asked, Indices], Floats]
    by_votes: bool = False


def coldness(items: Items, chosen: Indices) -> Floats:
    """How new each candidate is, w / (w + times that it was taken), with w = ``WARM_EXAMPLES``: float32, shape (C,)."""
    return np.asarray(WARM_EXAMPLES / (WARM_EXAMPLES + items.examples[chosen]), np.float32)
