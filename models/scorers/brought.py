"""Brought: how alike the vectors that an item brings are to those that the items of the history bring.

An item may bring vectors of several kinds, of its picture and of its sound, say. Those of item a, each of unit length,
stand one after the other in b_a, which is of unit length again (``state.catalogue.brought``). Of n_a kinds of item a
and n_j of item j, those that both have add up, and one that either lacks adds nothing:

    b_a · b_j = sum of their cosines / sqrt(n_a n_j).

The weight of item a of the history is w_a, by ``ASK_LONG``, over the last ``ASKED_TEXT`` items; it is 0 for an item
without vectors. With s = ``SHARPNESS`` the score of item j is

    exp(s * sum_a w_a b_a · b_j / sum_a w_a),

and 0 for an item without vectors: nothing is known of it, and it is like no other such item.

It needs vectors, and an item of the history that has some. Then it can score an item that nobody has taken yet.

The mean costs an eighth of a product with each item of the history, since their sum is made once. The nearest item of
the history in its place was no better: of all scorers of texts, HR@10 was .2196 with the mean alone, .2206 with the
nearest alone, and .2180 with none, each within .013 (second quarter of MovieLens 100K).
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.compiled import compiled, exp2, rows_of
from afresh.models.retrieval.asking import ASK_LONG, ASKED_TEXT, LOG2_E, Asked, History, Items, weigh
from afresh.models.retrieval.codes import decoded
from afresh.models.scorers.base import Scorer

SHARPNESS = np.float32(10.0)
"""s: as that of texts, for the cosines of pictures lie as close together."""


def score(asked: Asked, chosen: Indices) -> Floats:
    """Score how alike the vectors of candidates are to those of the history, shape (1, C)."""
    items, indices = asked.items, asked.indices[:ASKED_TEXT]
    weights = asked.weights(ASK_LONG)[:ASKED_TEXT] * (items.brought_scales[indices] > 0)
    if not weights.any():
        return np.zeros((1, len(chosen)), np.float32)
    own, theirs = (decoded(items.brought[some], items.brought_scales[some]) for some in (indices, chosen))
    alike = np.exp(SHARPNESS * (theirs @ (weights @ own / weights.sum())))
    return np.asarray(np.where(items.brought_scales[chosen] > 0, alike, 0)[None], np.float32)


@compiled
def fill(history: History, items: Items, chosen: Indices, _: Indices, scores: Floats) -> None:
    """Fill in the scores; see ``models.scorers.base.Fill``."""
    indices = history.indices[:ASKED_TEXT]
    weights = weigh(history, ASK_LONG)[:ASKED_TEXT]
    mean, total = np.zeros(items.brought.shape[1], np.float32), np.float32(0)
    for number in range(len(indices)):
        item = indices[number]
        if items.brought_scales[item] > 0:
            total += weights[number]
            for column in range(len(mean)):
                mean[column] += (
                    weights[number] * items.brought_scales[item] * np.float32(items.brought[item, column])
                )
    if total <= 0:
        return
    theirs = rows_of(items.brought, chosen)
    sharpness = np.float32(SHARPNESS * LOG2_E) / total
    for place in range(len(chosen)):
        scale = items.brought_scales[chosen[place]]
        if scale > 0:
            alike = np.float32(0)
            for column in range(len(mean)):
                alike += np.float32(theirs[place, column]) * mean[column]
            scores[0, place] = exp2(sharpness * scale * alike)


SCORER = Scorer({"brought": (0.0, 0.2)}, score, fill=fill)
