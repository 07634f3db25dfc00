"""Kind: what is known about an item before anybody takes it, apart from its text.

The weight of item a of the history is w_a, by ``ASK_LONG``. The score of item j is

* ``new``: 5 / (5 + times that it was taken), see ``models.scorers.base.coldness``;
* ``domain``: the sum of w_a over the items a of j's domain. It says how much of the history is of this domain;
* ``own``: the sum of w_a over the times that j itself is in the history. It says how lately the user took it. Where
  items that users have taken are left out of their lists, it is 0 for all candidates.

``new`` needs nothing. The others need a history.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.retrieval.asking import ASK_LONG, Asked
from afresh.models.scorers.base import Scorer, coldness


def score(asked: Asked, chosen: Indices) -> Floats:
    """Score how new candidates are, how familiar their domain is, and how lately the user took them, shape (3, C)."""
    items, indices = asked.items, asked.indices
    weights = asked.weights(ASK_LONG)
    domain = weights @ (items.domain[indices][:, None] == items.domain[chosen])
    own = np.bincount(asked.numbering.places(indices, chosen), weights, len(chosen) + 1)[:-1]
    scores = np.stack([coldness(items, chosen), domain, own])
    return scores.astype(np.float32)


SCORER = Scorer({"new": (0.0, 0.0), "domain": (0.3, 0.0), "own": (0.2, 1.0)}, score)
