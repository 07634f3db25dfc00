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

from afresh.models.arrays import NONE, Codes, Floats, Indices
from afresh.models.compiled import compiled, power, rows_of
from afresh.models.learning.neighbours import Kernel
from afresh.models.retrieval.asking import (
    ASK,
    ASK_LONG,
    ASKED_MASS,
    TAKEN_MASS,
    Asked,
    History,
    Items,
    places_of,
    weigh,
)
from afresh.models.retrieval.codes import decoded
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
    places = places_of(items.related[indices], chosen)
    exact[places, np.arange(len(indices))[:, None]] = decoded(
        items.strengths[indices], items.strength_scales[indices]
    )
    exact = exact[:-1]
    vectors = (decoded(items.vectors[some], items.vector_scales[some]) for some in (chosen, indices))
    smooth = next(vectors) @ next(vectors).T + UNSMOOTHED * exact
    # Only the smoothing relates an item to itself.
    smooth[chosen[:, None] == indices] = 0
    powers = np.maximum(smooth, 0) ** POWER
    scores = np.concatenate([kernels @ powers.T, kernels[:1] @ np.sqrt(exact).T])
    return np.asarray(scores * (items.mass[chosen] + 1) ** TAKEN_MASS, np.float32)


@compiled
def fill(history: History, items: Items, chosen: Indices, places: Indices, scores: Floats) -> None:
    """Fill in the scores; see ``models.scorers.base.Fill``."""
    indices = history.indices
    kernels = np.empty((3, len(indices)), np.float32)
    kernels[0], kernels[1], kernels[2] = (
        weigh(history, ASK),
        weigh(history, ASK_SESSION),
        weigh(history, ASK_LONG),
    )
    for column in range(len(indices)):
        mass = power(items.mass[indices[column]] + np.float32(1), ASKED_MASS)
        for kernel in range(len(kernels)):
            kernels[kernel, column] *= mass
    relations = np.dot(
        _vectors_of(items.vectors, items.vector_scales, chosen),
        _vectors_of(items.vectors, items.vector_scales, indices).T,
    )
    strengths = rows_of(items.strengths, indices)
    direct = _add_exact(
        *(items.related, strengths, items.strength_scales), indices, places, kernels[0], relations
    )
    for column in range(len(indices)):
        # Only the smoothing relates an item to itself.
        if places[indices[column]] != NONE:
            relations[places[indices[column]], column] = np.float32(0)
    each = relations.ravel()
    for number in range(len(each)):
        each[number] = power(each[number], POWER)
    for place in range(len(chosen)):
        now, session, long = np.float32(0), np.float32(0), np.float32(0)
        for column in range(len(indices)):
            now += kernels[0, column] * relations[place, column]
            session += kernels[1, column] * relations[place, column]
            long += kernels[2, column] * relations[place, column]
        mass = power(items.mass[chosen[place]] + np.float32(1), TAKEN_MASS)
        scores[0, place], scores[1, place] = now * mass, session * mass
        scores[2, place], scores[3, place] = long * mass, direct[place] * mass


@compiled
def _vectors_of(codes: Codes, scales: Floats, indices: Indices) -> Floats:
    """Return the vectors of some items."""
    found = rows_of(codes, indices).astype(np.float32)
    for place in range(len(indices)):
        found[place] *= scales[indices[place]]
    return found


@compiled
def _add_exact(
    related: Indices,
    strengths: Codes,
    scales: Floats,
    indices: Indices,
    places: Indices,
    kernel: Floats,
    relations: Floats,
) -> Floats:
    """Add what is not smoothed to the relations; return the sums of its roots, weighed by a kernel, shape (C,)."""
    direct = np.zeros(len(relations), np.float32)
    for column in range(len(indices)):
        item = indices[column]
        for number in range(related.shape[1]):
            other = related[item, number]
            if other != NONE and places[other] != NONE:
                strength = np.float32(strengths[column, number]) * scales[item]
                relations[places[other], column] += UNSMOOTHED * strength
                direct[places[other]] += kernel[column] * np.sqrt(strength)
    return direct


SCORER = Scorer(
    {"neighbours": (1.1, 0.5), "session": (0.1, 0.4), "long": (0.0, 0.4), "direct": (0.1, 0.2)},
    score,
    by_votes=True,
    fill=fill,
)
