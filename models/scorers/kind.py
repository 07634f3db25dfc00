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

from afresh.models.arrays import NONE, Floats, Indices
from afresh.models.compiled import compiled
from afresh.models.retrieval.asking import ASK_LONG, Asked, History, Items, places_of, weigh
from afresh.models.scorers.base import Scorer, coldness, coldness_of


def score(asked: Asked, chosen: Indices) -> Floats:
    """Score how new candidates are, how familiar their domain is, and how lately the user took them, shape (3, C)."""
    items, indices = asked.items, asked.indices
    weights = asked.weights(ASK_LONG)
    domain = weights @ (items.domain[indices][:, None] == items.domain[chosen])
    own = np.bincount(places_of(indices, chosen), weights, len(chosen) + 1)[:-1]
    scores = np.stack([coldness(items, chosen), domain, own])
    return scores.astype(np.float32)


@compiled
def fill(history: History, items: Items, chosen: Indices, places: Indices, scores: Floats) -> None:
    """Fill in the scores; see ``models.scorers.base.Fill``."""
    weights = weigh(history, ASK_LONG)
    domains = 0
    for item in history.indices:
        domains = max(domains, items.domain[item] + 1)
    # One more: the last one, which is that of NONE, for items without a domain.
    familiar = np.zeros(domains + 1, np.float32)
    for number in range(len(weights)):
        item = history.indices[number]
        familiar[items.domain[item]] += weights[number]
        if places[item] != NONE:
            scores[2, places[item]] += weights[number]
    for place in range(len(chosen)):
        item = chosen[place]
        scores[0, place] = coldness_of(items.examples[item])
        if items.domain[item] < domains:
            scores[1, place] = familiar[items.domain[item]]


SCORER = Scorer({"new": (0.0, 0.0), "domain": (0.3, 0.0), "own": (0.2, 1.0)}, score, fill=fill)
