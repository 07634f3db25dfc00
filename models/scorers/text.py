"""Text: how alike the text of an item is to the texts of the items of the history.

Embeddings of texts are unit vectors e (``models.encoder``), read from sixteen bits a number
(``models.retrieval.codes``): their product is the cosine of their angle. The weight of
item a of the history is w_a, by ``ASK_LONG``, over the last ``ASKED_TEXT`` items; it is 0 for an item without a text.
With s = ``SHARPNESS`` the score of item j is

* ``text``: exp(s * sum_a w_a e_a · e_j / sum_a w_a), alike on the whole;
* ``nearest``: exp(s * max_a e_a · e_j), alike to one of them;
* ``cold_text``: exp(s * cold_j * sum_a w_a e_a · e_j / sum_a w_a), ``text`` for new items, with cold_j from
  ``models.scorers.base.coldness``;
* ``akin``: sum_a w_a t_aj**s over the items a that have j among their nearest texts (``models.relations.texts``); t_aj
  is the cosine.

They need texts, and an item of the history that has one. Then they can score an item that nobody has taken yet; this is
their purpose.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import NONE, Floats, Indices
from afresh.models.compiled import compiled, exp2, power, rows_of
from afresh.models.retrieval.asking import (
    ASK_LONG,
    ASKED_TEXT,
    LIKENESS_UNIT,
    LOG2_E,
    Asked,
    History,
    Items,
    places_of,
    weigh,
)
from afresh.models.retrieval.codes import decoded
from afresh.models.scorers.base import Scorer, coldness, coldness_of

SHARPNESS = np.float32(10.0)
"""s: the score is exp(10 cos), because the cosines of texts lie close together."""


def score(asked: Asked, chosen: Indices) -> Floats:
    """Score how alike the texts of candidates are to those of the history, shape (4, C)."""
    items, indices = asked.items, asked.indices[:ASKED_TEXT]
    scores = np.zeros((4, len(chosen)), np.float32)
    weights = asked.weights(ASK_LONG)[:ASKED_TEXT] * (items.scales[indices] > 0)
    if not weights.any():
        return scores
    embeddings = (decoded(items.codes[some], items.scales[some]) for some in (chosen, indices))
    cosines = next(embeddings) @ next(embeddings).T
    mean = cosines @ (weights / weights.sum())
    cold = coldness(items, chosen)
    scores[:3] = np.exp(SHARPNESS * np.stack([mean, cosines.max(axis=1), mean * cold]))
    places = places_of(items.akin[indices], chosen)
    near = weights[:, None] * (LIKENESS_UNIT * items.likeness[indices]) ** SHARPNESS
    scores[3] = np.bincount(places.ravel(), near.ravel(), len(chosen) + 1)[:-1]
    return scores


@compiled
def fill(history: History, items: Items, chosen: Indices, places: Indices, scores: Floats) -> None:
    """Fill in the scores; see ``models.scorers.base.Fill``."""
    indices = history.indices[:ASKED_TEXT]
    weights = weigh(history, ASK_LONG)[:ASKED_TEXT]
    total = np.float32(0)
    for number in range(len(indices)):
        weights[number] *= np.float32(items.scales[indices[number]] > 0)
        total += weights[number]
    if total <= 0:
        return
    cosines = cosines_of(items, chosen, indices)
    sharpness = np.float32(SHARPNESS * LOG2_E)
    for place in range(len(chosen)):
        mean, nearest = np.float32(0), cosines[place, 0]
        for number in range(len(indices)):
            mean += cosines[place, number] * weights[number]
            nearest = max(nearest, cosines[place, number])
        mean /= total
        scores[0, place] = exp2(sharpness * mean)
        scores[1, place] = exp2(sharpness * nearest)
        scores[2, place] = exp2(sharpness * mean * coldness_of(items.examples[chosen[place]]))
    for number in range(len(indices)):
        item = indices[number]
        for column in range(items.akin.shape[1]):
            akin = items.akin[item, column]
            if akin != NONE and places[akin] != NONE:
                near = power(LIKENESS_UNIT * np.float32(items.likeness[item, column]), SHARPNESS)
                scores[3, places[akin]] += weights[number] * near


@compiled
def cosines_of(items: Items, chosen: Indices, asked: Indices) -> Floats:
    """Compute the cosines of candidates with at most ``ASKED_TEXT`` items, shape (C, n)."""
    theirs, own = rows_of(items.codes, chosen), np.zeros((ASKED_TEXT, items.codes.shape[1]), np.float32)
    for number in range(len(asked)):
        for column in range(own.shape[1]):
            own[number, column] = items.codes[asked[number], column]
    cosines = np.empty((len(chosen), len(asked)), np.float32)
    sums = np.empty(ASKED_TEXT, np.float32)
    for place in range(len(chosen)):
        # Eight sums side by side: each number of a row is widened once, and not once for each item.
        a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        e, f, g, h = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for column in range(own.shape[1]):
            each = np.float32(theirs[place, column])
            a += each * own[0, column]
            b += each * own[1, column]
            c += each * own[2, column]
            d += each * own[3, column]
            e += each * own[4, column]
            f += each * own[5, column]
            g += each * own[6, column]
            h += each * own[7, column]
        sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7] = a, b, c, d, e, f, g, h
        for number in range(len(asked)):
            cosines[place, number] = sums[number] * items.scales[chosen[place]] * items.scales[asked[number]]
    return cosines


SCORER = Scorer(
    {"text": (0.1, 0.2), "nearest": (0.0, 0.2), "cold_text": (0.0, 0.1), "akin": (0.0, 0.2)},
    score,
    fill=fill,
)
