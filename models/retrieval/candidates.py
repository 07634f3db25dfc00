"""Candidates: the first step of a list, so that it costs the same however large the catalogue is."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import NONE, Indices
from afresh.models.retrieval.asking import ASK, ASKED_MASS, ASKED_TEXT, TAKEN_MASS, Asked

RELATED_CANDIDATES = 300
"""Candidates that the relations of a history lead to."""

HEAD = 200
"""Items kept of the head of each count; the judge's list of the popular is chosen among them."""

LISTED_HEADS = (60, 40, 25, 25)
"""Candidates from the head of each count: popular, trending, of this hour, of this week."""

LISTED_TENURE = 25
"""Candidates from the head of the user's tenure."""

FOLLOWED, LISTED_FOLLOWERS = 5, 20
"""So many of what followed each of the last items are candidates."""

LISTED_AKIN = 15
"""Candidates of like text for each of the ``ASKED_TEXT`` last items."""


def gather(asked: Asked, excluded: Indices) -> Indices:
    """Items that may be in the user's list, in the order of their keys: all of a small catalogue.

    Parameters
    ----------
    asked
        The user.
    excluded
        Items that the list may not hold, besides those that are not available.
    """
    items, numbering = asked.items, asked.numbering
    if len(items.keys) <= RELATED_CANDIDATES:
        found = np.arange(len(items.keys), dtype=np.int32)
    else:
        led_to = _related_candidates(asked)
        heads = [items.heads[column, :count] for column, count in enumerate(LISTED_HEADS)]
        heads.append(items.heads[asked.tenure, :LISTED_TENURE])
        akin = items.akin[asked.indices[:ASKED_TEXT], :LISTED_AKIN].ravel()
        followers = items.followers[asked.indices[:FOLLOWED], :LISTED_FOLLOWERS].ravel()
        found = np.concatenate([led_to, *heads, akin, followers, asked.indices])
        found = numbering.distinct(found[found != NONE])
    found = found[items.available[found] & numbering.outside(found, excluded)]
    return found[np.argsort(items.keys[found])]


def _related_candidates(asked: Asked) -> Indices:
    """The items that are related most strongly to the history, about ``RELATED_CANDIDATES``."""
    items, related = asked.items, asked.related.ravel()
    known = related != NONE
    related = related[known]
    found = asked.numbering.distinct(related)
    weights = asked.weights(ASK) * (items.mass[asked.indices] + 1) ** ASKED_MASS
    reach = (np.sqrt(asked.strengths) * weights[:, None]).ravel()[known]
    if len(found) <= RELATED_CANDIDATES:
        return found
    sums = np.bincount(asked.numbering.places(related, found), reach, len(found))
    sums = sums * (items.mass[found] + 1) ** TAKEN_MASS * items.available[found]
    least = np.partition(sums, -RELATED_CANDIDATES)[-RELATED_CANDIDATES]
    return np.asarray(found[sums >= least])
