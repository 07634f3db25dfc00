"""Text: how alike the text of an item is to the texts of the items of the history.

Embeddings of texts are unit vectors e (``models.encoder``): their product is the cosine of their angle. The weight of
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

from afresh.models.arrays import Floats, Indices
from afresh.models.retrieval.asking import ASK_LONG, ASKED_TEXT, Asked
from afresh.models.scorers.base import Scorer, coldness

SHARPNESS = np.float32(10.0)
"""s: the score is exp(10 cos), because the cosines of texts lie close together."""


def score(asked: Asked, chosen: Indices) -> Floats:
    """Score how alike the texts of candidates are to those of the history, shape (4, C)."""
    items, indices = asked.items, asked.indices[:ASKED_TEXT]
    scores = np.zeros((4, len(chosen)), np.float32)
    weights = asked.weights(ASK_LONG)[:ASKED_TEXT] * items.embeddings[indices].any(axis=1)
    if not weights.any():
        return scores
    cosines = items.embeddings[chosen] @ items.embeddings[indices].T
    mean = cosines @ (weights / weights.sum())
    cold = coldness(items, chosen)
    scores[:3] = np.exp(SHARPNESS * np.stack([mean, cosines.max(axis=1), mean * cold]))
    places = asked.numbering.places(items.akin[indices], chosen)
    near = weights[:, None] * items.likeness[indices] ** SHARPNESS
    scores[3] = np.bincount(places.ravel(), near.ravel(), len(chosen) + 1)[:-1]
    return scores


SCORER = Scorer(
    {"text": (0.1, 0.2), "nearest": (0.0, 0.2), "cold_text": (0.0, 0.1), "akin": (0.0, 0.2)}, score
)
