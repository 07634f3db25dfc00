"""What follows from all item rows together: relations, likeness of texts, and who leads each count.

It is a function of the rows alone, whatever their order of arrival: items are put into the order of their keys first,
and nothing is carried over from one time to the next but the likeness of texts that have not changed. It takes long
on a large catalogue, and so works in a thread beside the stream (``streams.workers.deriving``).
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
    """What everything else is derived from, shape (N, ...); see ``models.retrieval.asking.Items``.

    Attributes
    ----------
    updates
        Updates of rows that the Catalogue had taken in.
    now_ms
        Newest time of an event.
    neighbours, weights, nexts
        Neighbours of the rows, by Catalogue index, ``NONE`` for none, and their two weights, shape (N, C).
    mass
        Of the rows, shape (N,).
    changed, waiting
        Items whose embedding came, changed or went since the last time, and those of them whose turn comes later:
        until then they count as without a text; shape (N,).
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
    embeddings: Floats
    akin: Indices
    likeness: Floats
    changed: Mask
    waiting: Mask


@dataclass(frozen=True)
class Derived:
    """What follows from a snapshot, by Catalogue index; see ``models.retrieval.asking.Items``."""

    updates: int
    relations: Relations
    followers: Indices
    following: Floats
    akin: Indices
    likeness: Floats
    heads: Indices
    trust: Floats


def derive(snapshot: CatalogueSnapshot) -> Derived:
    """Derive everything anew.

    Examples
    --------
    >>> from afresh.state.catalogue.catalogue import Catalogue
    >>> derive(Catalogue().snapshot()).heads.shape
    (14, 0)
    """
    order = np.argsort(snapshot.keys).astype(np.int32)
    # one more, so that NONE is the place of NONE
    place = np.full(len(order) + 1, NONE, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    embeddings = snapshot.embeddings[order]
    embeddings[snapshot.waiting[order]] = 0
    akin, likeness = texts.nearest(
        embeddings, place[snapshot.akin[order]], snapshot.likeness[order], snapshot.changed[order]
    )
    neighbours = snapshot.neighbours[order]
    # Rows go on changing meanwhile: they may name items that came since.
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
    row = np.append(order, np.int32(NONE))
    back = place[:-1]
    by_row = Relations(row[found.related[back]], found.strengths[back], found.vectors[back], found.mass[back])
    believed = _trust(snapshot.counts[order])[back]
    heads = _heads(snapshot, order, believed)
    return Derived(
        snapshot.updates,
        by_row,
        row[followers[back]],
        following[back],
        row[akin[back]],
        likeness[back],
        heads,
        believed,
    )


def _trust(counts: Floats) -> Floats:
    """How far the votes for items are believed, shape (N,)."""
    # All tenures fade alike, so that counts as of different times can be compared among themselves.
    exact = counts.astype(np.float64)
    shares = trust.shares(exact[:, HORIZONS:], exact[:, 1], exact[:, 0])
    return shares.astype(np.float32)


def _heads(snapshot: CatalogueSnapshot, order: Indices, believed: Floats) -> Indices:
    """Available items with the largest counts, as far as they are believed, largest first.

    Shape (H, at most ``candidates.HEAD``).
    """
    listed = order[snapshot.available[order]]
    counts = popularity.decayed(
        snapshot.counts[listed], snapshot.count_times[listed], snapshot.now_ms, HALF_LIVES_MS
    )
    counts = counts * believed[listed, None]
    best = np.argsort(-counts, axis=0, kind="stable")[: candidates.HEAD]
    return listed[best].T
