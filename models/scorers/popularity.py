"""Popularity: how often items were taken lately, over several times, by everybody and by users like this one.

Each count c of item j fades by its own half-life h (``models.layout.HALF_LIVES_MS``); at the time t of the list it is
the sum over the events of j of

    2**(-(t - time of the event) / h).

* ``popular`` has a half-life of 30 days, ``trending`` of one, ``hour`` of two hours, ``week`` of seven days;
* ``stage`` counts over 30 days the events of users who had taken about as many items as this one has now, and adds
  ``TENURE_FLOOR`` of ``popular``: newcomers take other things than people who have seen it all;
* ``ever`` is how often the item was taken, without fading.

They need nothing of the user, and so carry the lists of new ones. Of an item that nobody has taken they say nothing.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.layout import HALF_LIVES_MS, HORIZONS
from afresh.models.learning.popularity import decayed
from afresh.models.retrieval.asking import Asked
from afresh.models.scorers.base import Scorer

TENURE_FLOOR = 1e-3
"""Part of the popular count of every tenure: what nobody of a tenure took is still ordered."""


def score(asked: Asked, chosen: Indices) -> Floats:
    """Counts of candidates as of the time of the list, shape (6, C)."""
    items = asked.items
    columns = [*range(HORIZONS), asked.tenure]
    now, half_lives = asked.user.now_ms, HALF_LIVES_MS[columns]
    counts = decayed(items.counts[chosen][:, columns], items.count_times[chosen], now, half_lives)
    counts[:, -1] += TENURE_FLOOR * counts[:, 0]
    return np.concatenate([counts, items.examples[chosen, None]], axis=1).T.astype(np.float32)


SCORER = Scorer(
    {
        "popular": (-0.1, 0.2),
        "trending": (0.05, 0.2),
        "hour": (0.0, 0.1),
        "week": (0.0, 0.2),
        "stage": (0.1, 0.6),
        "ever": (0.0, 0.0),
    },
    score,
    by_votes=True,
)
