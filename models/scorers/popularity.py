"""Popularity: how often items were taken lately, over several half-lives, by everybody and by users like this one.

Each count of item j fades by its own half-life h (``models.layout.HALF_LIVES_MS``). At the time t of the list it is the
sum over the events of j of

    2**(-(t - time of the event) / h).

* ``popular`` has a half-life of 30 days, ``trending`` of one day, ``hour`` of two hours, ``week`` of seven days;
* ``stage`` counts, with a half-life of 30 days, the events of users of this user's tenure, and adds ``TENURE_FLOOR``
  times ``popular``. Newcomers take other items than people who have seen it all. It keeps the name ``stage`` because
  rows and lists carry it; in the code this is a tenure;
* ``ever`` is how often the item was taken, without fading.

They need no history, and so carry the lists of new users. They score nothing for an item that nobody has taken.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.compiled import compiled
from afresh.models.layout import HALF_LIVES_MS, HORIZONS
from afresh.models.learning.popularity import decayed
from afresh.models.retrieval.asking import Asked, History, Items
from afresh.models.scorers.base import Scorer, left_of

TENURE_FLOOR = 1e-3
"""Fraction of ``popular`` that is added to the count of a tenure, so that items that nobody of a tenure took are still
ordered."""


def score(asked: Asked, chosen: Indices) -> Floats:
    """Score candidates by their counts as of the time of the list, shape (6, C)."""
    items = asked.items
    columns = [*range(HORIZONS), asked.history.tenure]
    now, half_lives = asked.user.now_ms, HALF_LIVES_MS[columns]
    counts = decayed(items.counts[chosen][:, columns], items.count_times[chosen], now, half_lives)
    counts[:, -1] += TENURE_FLOOR * counts[:, 0]
    return np.concatenate([counts, items.examples[chosen, None]], axis=1).T.astype(np.float32)


@compiled
def fill(history: History, items: Items, chosen: Indices, _: Indices, scores: Floats) -> None:
    """Fill in the scores; see ``models.scorers.base.Fill``."""
    for place in range(len(chosen)):
        item = chosen[place]
        age = history.now_ms - items.count_times[item]
        for row in range(HORIZONS + 1):
            column = row if row < HORIZONS else history.tenure
            scores[row, place] = items.counts[item, column] * left_of(age, HALF_LIVES_MS[column])
        scores[HORIZONS, place] += np.float32(TENURE_FLOOR) * scores[0, place]
        scores[HORIZONS + 1, place] = np.float32(items.examples[item])


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
    fill=fill,
)
