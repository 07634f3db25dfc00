"""Kind: what is known of an item before anybody takes it, beside its text.

With w_a the weight of item a of the history by ``ASK_LONG``, the score of item j is

* ``new``: 5 / (5 + times that it was taken), see ``models.scorers.base.coldness``;
* ``domain``: sum of w_a over the items a of j's domain: how much of the history is of its kind;
* ``own``: sum of w_a over the times that j itself stands in the history: how lately it was the user's own. Where what
  users have had is left out of their lists, no candidate has any.

``new`` needs nothing; the others need a history.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.retrieval.asking import ASK_LONG, Asked
from afresh.models.scorers.base import Scorer, coldness


def score(asked: Asked, chosen: Indices) -> Floats:
    """How new candidates are, of how familiar a domain, and how lately they were taken, shape (3, C)."""
    items, indices = asked.items, asked.indices
    weights = asked.weights(ASK_LONG)
    domain = weights @ (items.domain[indices][:, None] == items.domain[chosen])
    own = np.bincount(asked.numbering.places(indices, chosen), weights, len(chosen) + 1)[:-1]
    scores = np.stack([coldness(items, chosen), domain, own])
    return scores.astype(np.float32)


SCORER = Scorer({"new": (0.0, 0.0), "domain": (0.3, 0.0), "own": (0.2, 1.0)}, score)
