"""Derives from all item rows together: relations, transitions, trust, and the most popular items of each count.

The result depends on the rows alone, not on their order of arrival. For this, items are first sorted by key. It takes
long on a large catalogue, and so runs in a thread beside the stream (``streams.model``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from afresh.models.arrays import NONE, Floats, Halves, Indices, Integers, Keys, Mask, Reals
from afresh.models.layout import HALF_LIVES_MS, HORIZONS
from afresh.models.learning import popularity
from afresh.models.relations import relations, transitions, trust
from afresh.models.relations.relations import Relations
from afresh.models.relations.transitions import Transitions
from afresh.models.relations.trust import Usual
from afresh.models.retrieval import asking, candidates


@dataclass(frozen=True)
class Snapshot:
    """The arrays that everything else is derived from, by number; see ``state.model.rows.ItemRows``.

    Attributes
    ----------
    updates
        Number of updates that the rows had taken in.
    now_ms
        Newest time of an event, in ms.
    neighbours, weights, nexts
        Neighbours of each item, as numbers, ``NONE`` for none, and their two weights, shape (N, C).
    mass
        Mass of each item's row, shape (N,).
    akin, likeness
        Items of nearest text, and their cosines, shape (N, T).
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
    akin: Indices
    likeness: Floats


@dataclass(frozen=True)
class Derived:
    """What was derived from a snapshot, by number; see ``models.retrieval.asking.Items``.

    Attributes
    ----------
    usual
        What is usual in the whole catalogue; the trust in an item whose counts have changed follows from it.
    """

    relations: Relations
    transitions: Transitions
    trust: Floats
    usual: Usual
    heads: Indices


def derive(snapshot: Snapshot) -> Derived:
    """Derive everything from a snapshot.

    Examples
    --------
    >>> from afresh.state.model.model import Model
    >>> derive(Model().snapshot()).heads.shape
    (14, 0)
    """
    order = np.argsort(snapshot.keys).astype(np.int32)
    # One more, so that the place of NONE is NONE.
    place = np.full(len(order) + 1, NONE, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    neighbours = snapshot.neighbours[order]
    # Rows change while this runs: they may name items that came after the snapshot.
    neighbours[neighbours >= len(order)] = NONE
    placed = place[neighbours]
    found = relations.relate(
        snapshot.keys[order],
        (placed, snapshot.weights[order]),
        snapshot.mass[order],
        (place[snapshot.akin[order]], snapshot.likeness[order]),
        asking.RELATED,
    )
    followed = transitions.follow((placed, snapshot.nexts[order].astype(np.float32)), asking.FOLLOWERS)
    number = np.append(order, np.int32(NONE))
    back = place[:-1]
    # Sums in the order of keys: in another order, their last bits would be others.
    usual = trust.usual(*_votes(snapshot.counts[order]))
    believed = trust_of(snapshot.counts, usual)
    return Derived(
        Relations(
            number[found.related[back]],
            found.strengths[back],
            found.vectors[back],
            found.mass[back],
            found.pull,
        ),
        Transitions(
            number[followed.followers[back]],
            followed.following[back],
            followed.followed[back],
            followed.preceded[back],
        ),
        believed,
        usual,
        heads_of(snapshot, believed, order[snapshot.available[order]]),
    )


def trust_of(counts: Floats, usual: Usual) -> Floats:
    """Compute the share of the votes for some items that is believed, given their counts, shape (n,)."""
    return trust.shares(*_votes(counts), usual).astype(np.float32)


def _votes(counts: Floats) -> tuple[Reals, Reals, Reals]:
    # All tenures fade alike, so that an item's counts keep their proportions whatever time they are kept as of.
    exact = counts.astype(np.float64)
    return exact[:, HORIZONS:], exact[:, 1], exact[:, 0]


def heads_of(snapshot: Snapshot, believed: Floats, among: Indices) -> Indices:
    """Find the items with the largest counts, after trust, largest first, among some available ones.

    Returns numbers of shape (H, at most ``candidates.HEAD``).
    """
    counts = popularity.decayed(
        snapshot.counts[among], snapshot.count_times[among], snapshot.now_ms, HALF_LIVES_MS
    )
    counts = counts * believed[among, None]
    best = np.argsort(-counts, axis=0, kind="stable")[: candidates.HEAD]
    return np.ascontiguousarray(among[best].T)
