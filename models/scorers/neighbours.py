"""Neighbours: whoever took what this user took also took that.

The strongest family. An item is scored by how closely it is related to the items of the user's history, as was learned
from everybody's visits (``models.learning.neighbours``) and made symmetric, normalised and smoothed
(``models.relations.relations``). With A and P as there, w_a the weight of item a of the history by a kernel, M the
masses, mu = ``UNSMOOTHED`` and p = ``POWER``, the score of item j is

    M_j'**r * sum_a w_a M_a'**q * max(0, P_a · P_j + mu A[a, j])**p,    M' = M + 1,

q and r being ``ASKED_MASS`` and ``TAKEN_MASS``; of A the ``RELATED`` largest of each row are known.

* ``neighbours`` weighs the history by ``ASK``: this visit above all, the newest items most;
* ``session`` by ``ASK_SESSION``: the very last items only;
* ``long`` by ``ASK_LONG``: what was taken before this visit counts as well;
* ``direct`` by ``ASK``, with A[a, j]**0.5 in place of the last factor, not smoothed: what was seen together, however
  rarely.

They need a history, and items that others took, or whose texts are alike. To a new user they say nothing.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.learning.neighbours import Kernel
from afresh.models.retrieval.asking import ASK, ASK_LONG, ASKED_MASS, TAKEN_MASS, Asked
from afresh.models.scorers.base import Scorer

ASK_SESSION = Kernel(0.7, 30.0, 0.02)
"""``ASK``, of the very last items only."""

UNSMOOTHED = np.float32(0.5)
"""mu: how much of a relation is left as it was before smoothing."""

POWER = np.float32(0.6)
"""p, of a relation: below 1 many weak ones together say more than a few strong ones."""


def score(asked: Asked, chosen: Indices) -> Floats:
    """How closely candidates are related to the history, shape (4, C)."""
    items, indices = asked.items, asked.indices
    kernels = np.stack([asked.weights(kernel) for kernel in (ASK, ASK_SESSION, ASK_LONG)])
    kernels *= (items.mass[indices] + 1) ** ASKED_MASS
    exact = np.zeros((len(chosen) + 1, len(indices)), np.float32)  # a row more for what is no candidate
    places = asked.numbering.places(asked.related, chosen)
    exact[places, np.arange(len(indices))[:, None]] = asked.strengths
    exact = exact[:-1]
    smooth = items.vectors[chosen] @ items.vectors[indices].T + UNSMOOTHED * exact
    # an item is related to itself by nothing but the smoothing
    smooth[chosen[:, None] == indices] = 0
    # by exponential and logarithm, which take half as long as a power
    with np.errstate(divide="ignore"):
        powers = np.exp(POWER * np.log(np.maximum(smooth, 0)))
    scores = np.concatenate([kernels @ powers.T, kernels[:1] @ np.sqrt(exact).T])
    return np.asarray(scores * (items.mass[chosen] + 1) ** TAKEN_MASS, np.float32)


SCORER = Scorer(
    {"neighbours": (1.1, 0.5), "session": (0.1, 0.4), "long": (0.0, 0.4), "direct": (0.1, 0.2)},
    score,
    by_votes=True,
)
