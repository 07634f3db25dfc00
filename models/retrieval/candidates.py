"""Candidates: the items that a list is chosen from. They make its cost independent of the size of the catalogue."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import NONE, Indices
from afresh.models.retrieval.asking import ASK, ASKED_MASS, ASKED_TEXT, TAKEN_MASS, Asked

RELATED_CANDIDATES = 300
"""Number of candidates from the relations of a history."""

HEAD = 200
"""Number of items kept from the head of each count. The judge's list of popular items is chosen among them."""

LISTED_HEADS = (60, 40, 25, 25)
"""Number of candidates from the head of each count: popular, trending, this hour, this week."""

LISTED_TENURE = 25
"""Number of candidates from the head of the user's tenure."""

FOLLOWED, LISTED_FOLLOWERS = 5, 20
"""Each of the newest ``FOLLOWED`` items of a history gives its ``LISTED_FOLLOWERS`` strongest followers as
candidates."""

LISTED_AKIN = 15
"""Number of candidates of nearest text for each of the newest ``ASKED_TEXT`` items."""


def gather(asked: Asked, excluded: Indices) -> Indices:
    """Gather the items that may be in the user's list, as indices in the order of their keys.

    Of a small catalogue these are all available items.

    Parameters
    ----------
    asked
        The user.
    excluded
        Indices of items that the list may not hold, besides those that are not available.
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
    """Find the items with the strongest relations to the history, about ``RELATED_CANDIDATES``."""
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
