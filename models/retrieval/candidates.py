"""Candidates: the items that a list is chosen from. They make its cost independent of the size of the catalogue."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import NONE, Floats, Indices, Keys
from afresh.models.compiled import compiled, power
from afresh.models.layout import HISTORY
from afresh.models.lists.rank import kth_largest
from afresh.models.retrieval.asking import ASK, ASKED_MASS, ASKED_TEXT, TAKEN_MASS, History, Items, weigh

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


LIMIT = RELATED_CANDIDATES + sum(LISTED_HEADS) + LISTED_TENURE + FOLLOWED * LISTED_FOLLOWERS + HISTORY
LIMIT += ASKED_TEXT * LISTED_AKIN
"""Largest number of candidates."""

BUCKETS = 512
FIRST_BITS = np.uint64(55)
"""Keys are shifted by this to get their bucket."""

TAKEN = -2
"""Stands at the place of an item that is no candidate any more: it is left out, or it was found before."""


@compiled
def gather(history: History, items: Items, excluded: Indices, places: Indices) -> Indices:
    """Gather the items that may be in the user's list, as indices in the order of their keys, shape (at most LIMIT,).

    Of a small catalogue these are all available items.

    Parameters
    ----------
    history, items
        The user, and the items.
    excluded
        Indices of items that the list may not hold, besides those that are not available.
    places
        Room for a place of every item, all ``NONE``, shape (N,); it is left as it was.
    """
    if len(items.keys) <= RELATED_CANDIDATES:
        found = np.arange(len(items.keys)).astype(np.int32)
    else:
        found = _led_to(history, items, places)
    for item in excluded:
        places[item] = TAKEN
    kept = 0
    for item in found:
        if item != NONE and places[item] == NONE and items.available[item]:
            places[item] = TAKEN
            found[kept] = item
            kept += 1
    for item in excluded:
        places[item] = NONE
    for item in found[:kept]:
        places[item] = NONE
    return in_order(found[:kept], items.keys)


@compiled
def _led_to(history: History, items: Items, places: Indices) -> Indices:
    """Return everything that leads to candidates; an item may stand there more than once."""
    found = np.empty(LIMIT, np.int32)
    count = _append(_related_candidates(history, items, places), found, 0)
    for row in range(len(LISTED_HEADS)):
        count = _append(items.heads[row, : LISTED_HEADS[row]], found, count)
    count = _append(items.heads[history.tenure, :LISTED_TENURE], found, count)
    for asked in history.indices[:ASKED_TEXT]:
        count = _append(items.akin[asked, :LISTED_AKIN], found, count)
    for asked in history.indices[:FOLLOWED]:
        count = _append(items.followers[asked, :LISTED_FOLLOWERS], found, count)
    count = _append(history.indices, found, count)
    return found[:count]


@compiled
def _append(some: Indices, found: Indices, count: int) -> int:
    """Append some items to those found; return how many there are now."""
    for item in some:
        found[count] = item
        count += 1
    return count


@compiled
def _related_candidates(history: History, items: Items, places: Indices) -> Indices:
    """Find the ``RELATED_CANDIDATES`` items with the strongest relations to the history; ties go to the lower key."""
    indices, width = history.indices, items.related.shape[1]
    found = np.empty(len(indices) * width, np.int32)
    sums = np.zeros(len(indices) * width, np.float32)
    weights = weigh(history, ASK)
    count = 0
    for number in range(len(indices)):
        item = indices[number]
        weight = weights[number] * power(items.mass[item] + np.float32(1), ASKED_MASS)
        weight *= np.sqrt(items.strength_scales[item])
        for column in range(width):
            related = items.related[item, column]
            if related == NONE:
                continue
            if places[related] == NONE:
                places[related] = count
                found[count] = related
                count += 1
            sums[places[related]] += weight * np.sqrt(np.float32(items.strengths[item, column]))
    for place in range(count):
        item = found[place]
        places[item] = NONE
        sums[place] *= power(items.mass[item] + np.float32(1), TAKEN_MASS) * np.float32(items.available[item])
    return strongest(found[:count], sums[:count], items.keys, RELATED_CANDIDATES)


@compiled
def strongest(found: Indices, sums: Floats, keys: Keys, k: int) -> Indices:
    """Return the ``k`` items of the largest sums, in any order; ties go to the lower key."""
    if len(found) <= k:
        return found
    least = kth_largest(sums, k)
    kept, tied = np.empty(k, np.int32), np.empty(len(sums), np.int32)
    count, ties = 0, 0
    for place in range(len(sums)):
        if sums[place] > least:
            kept[count] = found[place]
            count += 1
        elif sums[place] == least:
            tied[ties] = found[place]
            ties += 1
    tied = in_order(tied[:ties], keys)
    for number in range(k - count):
        kept[count + number] = tied[number]
    return kept


@compiled
def in_order(found: Indices, keys: Keys) -> Indices:
    """Return items in the order of their keys. Keys are hashes: by their first bits they are almost in order."""
    starts = np.zeros(BUCKETS + 1, np.int32)
    for item in found:
        starts[(keys[item] >> FIRST_BITS) + np.uint64(1)] += 1
    for bucket in range(BUCKETS):
        starts[bucket + 1] += starts[bucket]
    ordered, own = np.empty(len(found), np.int32), np.empty(len(found), np.uint64)
    for item in found:
        bucket = keys[item] >> FIRST_BITS
        ordered[starts[bucket]], own[starts[bucket]] = item, keys[item]
        starts[bucket] += 1
    for place in range(1, len(found)):
        item, key, before = ordered[place], own[place], place - 1
        while before >= 0 and own[before] > key:
            ordered[before + 1], own[before + 1] = ordered[before], own[before]
            before -= 1
        ordered[before + 1], own[before + 1] = item, key
    return ordered
