"""Transitions: items that others took right after the items that this user took last.

Relations say which items belong together. Transitions have a direction: the second film of a series follows the first,
and not the other way round. The weight of item a of the history is w_a, by a kernel, and
``models.relations.transitions`` defines F. The score of item j is

    sum_a w_a F[a, j]**0.5

over the last ``ASKED_NEXT`` items of the history. The root lets many weak transitions count beside a strong one.

* ``next`` weighs the history by ``NEXT``, as rows were learned: the last item or two;
* ``soon`` weighs it by ``ASK_SOON``: some more items, for people who go to and fro.

They need a history, and followers of its items.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import NONE, Floats, Indices
from afresh.models.compiled import compiled
from afresh.models.learning.neighbours import NEXT, Kernel
from afresh.models.retrieval.asking import Asked, History, Items, places_of, weigh
from afresh.models.retrieval.codes import decoded
from afresh.models.scorers.base import Scorer

ASK_SOON = Kernel(0.85, 100.0, 0.1)
"""Like ``NEXT``, but for some more items."""

ASKED_NEXT = 20
"""Number of items of a history, the newest, whose followers are looked at. Older items weigh next to nothing."""


def score(asked: Asked, chosen: Indices) -> Floats:
    """Score how strongly candidates followed the last items of the history, shape (2, C)."""
    indices = asked.indices[:ASKED_NEXT]
    places = places_of(asked.items.followers[indices], chosen).ravel()
    strengths = np.sqrt(decoded(asked.items.following[indices], asked.items.following_scales[indices]))
    scores = [
        np.bincount(places, (asked.weights(kernel)[:ASKED_NEXT, None] * strengths).ravel(), len(chosen) + 1)
        for kernel in (NEXT, ASK_SOON)
    ]
    return np.asarray(np.stack(scores)[:, :-1], np.float32)


@compiled
def fill(history: History, items: Items, _: Indices, places: Indices, scores: Floats) -> None:
    """Fill in the scores; see ``models.scorers.base.Fill``."""
    after, soon = weigh(history, NEXT), weigh(history, ASK_SOON)
    for number in range(min(len(history.indices), ASKED_NEXT)):
        item = history.indices[number]
        for column in range(items.followers.shape[1]):
            follower = items.followers[item, column]
            if follower != NONE and places[follower] != NONE:
                strength = np.sqrt(np.float32(items.following[item, column]) * items.following_scales[item])
                scores[0, places[follower]] += after[number] * strength
                scores[1, places[follower]] += soon[number] * strength


SCORER = Scorer({"next": (0.1, 0.3), "soon": (0.1, 0.3)}, score, by_votes=True, fill=fill)
