"""Derives from all item rows together: relations, likeness of texts, and the most popular items of each count.

The result depends on the rows alone, not on their order of arrival. For this, items are first sorted by key. Only the
likeness of texts that have not changed is carried over from one time to the next. It takes long on a large catalogue,
and so runs in a thread beside the stream (``streams.workers.deriving``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from afresh.models.arrays import NONE, Floats, Halves, Indices, Integers, Keys, Mask
from afresh.models.layout import HALF_LIVES_MS, HORIZONS
from afresh.models.learning import popularity
from afresh.models.relations import relations, texts, transitions, trust
from afresh.models.relations.relations import Relations
from afresh.models.retrieval import asking, candidates


@dataclass(frozen=True)
class CatalogueSnapshot:
    """The arrays that everything else is derived from, by index; see ``models.retrieval.asking.Items`` for the others.

    Attributes
    ----------
    updates
        Number of updates that the Catalogue had taken in.
    now_ms
        Newest time of an event, in ms.
    neighbours, weights, nexts
        Neighbours of each item, as indices, ``NONE`` for none, and their two weights, shape (N, C).
    mass
        Mass of each item's row, shape (N,).
    changed, waiting
        Mask of the items whose embedding came, changed or went since the last time, and of those among them that have
        to wait, shape (N,). A waiting item counts as without a text until its turn comes.
    """

    updates: int
    now_ms: int
    keys: Keys
    available: Mask
    neighbours: Indices
    weights: Floats
    nexts: Halves
    mass: Floats
    counts: Floats
    count_times: Integers
    embeddings: Halves
    akin: Indices
    likeness: Floats
    changed: Mask
    waiting: Mask


@dataclass(frozen=True)
class Derived:
    """What was derived from a snapshot, by index; see ``models.retrieval.asking.Items``."""

    updates: int
    relations: Relations
    followers: Indices
    following: Floats
    akin: Indices
    likeness: Floats
    heads: Indices
    trust: Floats


def derive(snapshot: CatalogueSnapshot) -> Derived:
    """Derive everything from a snapshot.

    Examples
    --------
    >>> from afresh.state.catalogue.catalogue import Catalogue
    >>> derive(Catalogue().snapshot()).heads.shape
    (14, 0)
    """
    order = np.argsort(snapshot.keys).astype(np.int32)
    # One more, so that the place of NONE is NONE.
    place = np.full(len(order) + 1, NONE, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    embeddings = snapshot.embeddings[order].astype(np.float32)
    embeddings[snapshot.waiting[order]] = 0
    akin, likeness = texts.nearest(
        embeddings, place[snapshot.akin[order]], snapshot.likeness[order], snapshot.changed[order]
    )
    neighbours = snapshot.neighbours[order]
    # Rows change while this runs: they may name items that came after the snapshot.
    neighbours[neighbours >= len(order)] = NONE
    placed = place[neighbours]
    found = relations.relate(
        snapshot.keys[order],
        (placed, snapshot.weights[order]),
        snapshot.mass[order],
        (akin, likeness),
        asking.RELATED,
    )
    nexts = snapshot.nexts[order].astype(np.float32)
    followers, following = transitions.follow((placed, nexts), asking.FOLLOWERS)
    index = np.append(order, np.int32(NONE))
    back = place[:-1]
    by_index = Relations(
        index[found.related[back]], found.strengths[back], found.vectors[back], found.mass[back]
    )
    believed = _trust(snapshot.counts[order])[back]
    heads = _heads(snapshot, order, believed)
    return Derived(
        snapshot.updates,
        by_index,
        index[followers[back]],
        following[back],
        index[akin[back]],
        likeness[back],
        heads,
        believed,
    )


def _trust(counts: Floats) -> Floats:
    """Compute the share of the votes for each item that is believed, shape (N,)."""
    # All tenures fade alike, so that an item's counts keep their proportions whatever time they are kept as of.
    exact = counts.astype(np.float64)
    shares = trust.shares(exact[:, HORIZONS:], exact[:, 1], exact[:, 0])
    return shares.astype(np.float32)


def _heads(snapshot: CatalogueSnapshot, order: Indices, believed: Floats) -> Indices:
    """Find the available items with the largest counts, after trust, largest first.

    Returns indices of shape (H, at most ``candidates.HEAD``).
    """
    listed = order[snapshot.available[order]]
    counts = popularity.decayed(
        snapshot.counts[listed], snapshot.count_times[listed], snapshot.now_ms, HALF_LIVES_MS
    )
    counts = counts * believed[listed, None]
    best = np.argsort(-counts, axis=0, kind="stable")[: candidates.HEAD]
    return np.ascontiguousarray(listed[best].T)
