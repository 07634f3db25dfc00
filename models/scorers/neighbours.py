"""Neighbours: users who took what this user took also took these items.

This is the strongest family. It scores an item by how closely it is related to the items of the user's history. The
relations are learned from everybody's visits (``models.learning.neighbours``), and then made symmetric, normalised and
smoothed (``models.relations.relations``, which defines A, P and the masses M). The weight of item a of the history is
w_a, by a kernel. The score of item j is

    M_j'**r * sum_a w_a M_a'**q * max(0, P_a · P_j + mu A[a, j])**p,    M' = M + 1,

with mu = ``UNSMOOTHED``, p = ``POWER``, q = ``ASKED_MASS`` and r = ``TAKEN_MASS``. Only the ``RELATED`` largest values
in each row of A are known.

* ``neighbours`` weighs the history by ``ASK``: this visit above all, and the newest items most;
* ``session`` weighs it by ``ASK_SESSION``: only the very last items;
* ``long`` weighs it by ``ASK_LONG``: items taken before this visit count as well;
* ``direct`` weighs it by ``ASK``, and has A[a, j]**0.5, not smoothed, in place of the last factor: items that were
  taken together count, however rarely.

They need a history, and items that others took or whose texts are alike. For a new user they score nothing.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.learning.neighbours import Kernel
from afresh.models.retrieval.asking import ASK, ASK_LONG, ASKED_MASS, TAKEN_MASS, Asked
from afresh.models.scorers.base import Scorer

ASK_SESSION = Kernel(0.7, 30.0, 0.02)
"""Like ``ASK``, but for the very last items only."""

UNSMOOTHED = np.float32(0.5)
"""mu: how much of a relation counts as it was before smoothing."""

POWER = np.float32(0.6)
"""p: power of a relation. Below 1, many weak relations together count more than a few strong ones."""


def score(asked: Asked, chosen: Indices) -> Floats:
    """Score how closely candidates are related to the history, shape (4, C)."""
    items, indices = asked.items, asked.indices
    kernels = np.stack([asked.weights(kernel) for kernel in (ASK, ASK_SESSION, ASK_LONG)])
    kernels *= (items.mass[indices] + 1) ** ASKED_MASS
    exact = np.zeros((len(chosen) + 1, len(indices)), np.float32)  # one more for items that are no candidates
    places = asked.numbering.places(asked.related, chosen)
    exact[places, np.arange(len(indices))[:, None]] = asked.strengths
    exact = exact[:-1]
    smooth = items.vectors[chosen] @ items.vectors[indices].T + UNSMOOTHED * exact
    # Only the smoothing relates an item to itself.
    smooth[chosen[:, None] == indices] = 0
    # Exponential and logarithm together take half as long as a power.
    with np.errstate(divide="ignore"):
        powers = np.exp(POWER * np.log(np.maximum(smooth, 0)))
    scores = np.concatenate([kernels @ powers.T, kernels[:1] @ np.sqrt(exact).T])
    return np.asarray(scores * (items.mass[chosen] + 1) ** TAKEN_MASS, np.float32)


SCORER = Scorer(
    {"neighbours": (1.1, 0.5), "session": (0.1, 0.4), "long": (0.0, 0.4), "direct": (0.1, 0.2)},
    score,
    by_votes=True,
)
