"""What a list is made from: a user, what is known about the items, and both together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from afresh.models.arrays import NONE, Codes, Cosines, Floats, Indices, Integers, Keys, Mask, Naturals, Places
from afresh.models.compiled import compiled, exp2
from afresh.models.layout import HORIZONS
from afresh.models.learning.horizons import tenure_of
from afresh.models.learning.neighbours import Kernel

RELATED = 100
"""Number of the strongest relations kept for an item. Only these lead to candidates, and only these have their own
strength beside the smoothed one."""

FOLLOWERS = 100
"""Number of the strongest followers kept for an item."""

AKIN = 30
"""Number of items of nearest text kept for an item."""

LIKENESS_UNIT = np.float32(1e-4)
"""Cosines of texts are whole multiples of it."""

ASK = Kernel(0.95, 100.0, 0.03)
"""Weight of an item of the history when a list is made."""

ASK_LONG = Kernel(0.9, 100_000.0, 0.5)
"""Like ``ASK``, but items taken before this visit count as well."""

ASKED_TEXT = 8
"""Number of items of a history, the newest, whose texts, and the vectors that they bring, are compared."""

LOG2_E = math.log2(math.e)

ASKED_MASS = np.float32(0.06)
TAKEN_MASS = np.float32(0.18)
"""Powers of mass that multiply a relation: of the item of the history, and of the item scored."""


@dataclass(frozen=True)
class User:
    """A user to make a list for.

    Attributes
    ----------
    history
        Indices of the user's items, newest first, shape (L,), L <= ``models.layout.HISTORY``; -1 for an item that the
        Catalogue does not know.
    ages
        Seconds from each of these items to the newest, shape (L,).
    taken
        Number of items taken in all.
    now_ms
        Time of the list, in ms.
    """

    history: Indices
    ages: Floats
    taken: int
    now_ms: int


class Items(NamedTuple):
    """What is known about the N items, as arrays by index.

    Attributes
    ----------
    available
        Whether a list may hold each item, shape (N,).
    keys
        Key of each item, shape (N,). Candidates are sorted by it.
    domain
        Number of each item's domain, shape (N,).
    examples
        How often each item was taken, shape (N,).
    counts, count_times
        Counts and their times, see ``models.learning.popularity``: shape (N, H), a column for each of
        ``models.layout.HALF_LIVES_MS``, and shape (N,), in ms.
    codes, scales
        Embedding of each item's text, of unit length or 0: sixteen bits a number, shape (N, E), and what they are
        multiplied by, shape (N,). See ``models.retrieval.codes``.
    brought, brought_scales
        The vectors that each item brings, all of them as one of unit length, or 0 where it brings none: sixteen bits a
        number, shape (N, W), W = 0 where no kind is declared, and what they are multiplied by, shape (N,).
    related, strengths, strength_scales, vectors, vector_scales, mass
        See ``models.relations.relations.Relations``; strengths and vectors as codes with a scale for each item.
    followers, following, following_scales
        Followers of each item and their strengths, as codes with a scale for each item, see
        ``models.relations.transitions``, shape (N, ``FOLLOWERS``).
    akin, likeness
        Items of nearest text and their cosines as multiples of ``LIKENESS_UNIT``, see ``models.relations.texts``,
        shape (N, ``AKIN``).
    heads
        For each count the items with the largest values, largest first, shape (H, at most ``HEAD``).
    trust
        Share of each item's votes that is believed, see ``models.relations.trust``, shape (N,).
    """

    available: Mask
    keys: Keys
    domain: Indices
    examples: Naturals
    counts: Floats
    count_times: Integers
    codes: Codes
    scales: Floats
    brought: Codes
    brought_scales: Floats
    related: Indices
    strengths: Codes
    strength_scales: Floats
    vectors: Codes
    vector_scales: Floats
    mass: Floats
    followers: Indices
    following: Codes
    following_scales: Floats
    akin: Indices
    likeness: Cosines
    heads: Indices
    trust: Floats


class History(NamedTuple):
    """What compiled scorers read of a user: the items of the history that the Catalogue knows, newest first.

    Attributes
    ----------
    indices
        Indices of these items, shape (l,).
    lags, ages
        Places of these items in the whole history, from 0, and seconds to the newest of it, shape (l,).
    tenure
        Column of ``Items.counts`` for the user's tenure.
    now_ms
        Time of the list, in ms.
    """

    indices: Indices
    lags: Floats
    ages: Floats
    tenure: int
    now_ms: int


def history_of(user: User) -> History:
    """Return what compiled scorers read of a user."""
    known = np.flatnonzero(user.history != NONE)
    tenure = HORIZONS + int(tenure_of(np.array([user.taken]))[0])
    return History(
        user.history[known].astype(np.int32),
        known.astype(np.float32),
        user.ages[known].astype(np.float32),
        tenure,
        user.now_ms,
    )


@compiled
def weigh(history: History, kernel: Kernel) -> Floats:
    """Compute the weights of the known items by a kernel, shape (l,); see ``Kernel.weights``."""
    weights = np.empty(len(history.indices), np.float32)
    by_lag = np.float32(math.log2(kernel.decay))
    by_age = np.float32(-LOG2_E / kernel.timescale_seconds)
    for place in range(len(weights)):
        age = history.ages[place]
        weight = exp2(by_lag * history.lags[place]) * (
            exp2(by_age * max(age, np.float32(0))) + np.float32(kernel.floor)
        )
        weights[place] = np.float32(0) if np.isnan(age) else weight
    return weights


class Asked:
    """A user and the items, and what the scorers in plain NumPy need of them.

    Attributes
    ----------
    user, items
        The arguments it was made from.
    history
        What compiled scorers read of the user.
    indices
        Indices of the known items, newest first, shape (l,).
    """

    def __init__(self, user: User, items: Items) -> None:
        self.user = user
        self.items = items
        self.history = history_of(user)
        self.indices = self.history.indices

    def weights(self, kernel: Kernel) -> Floats:
        """Return the weights of the known items by a kernel, shape (l,)."""
        return np.asarray(kernel.weights(self.user.ages)[self.user.history != NONE])


def places_of(indices: Indices, chosen: Indices) -> Places:
    """Return the place of every index among candidates; ``len(chosen)`` if it is none of them, as ``NONE`` always is.

    Examples
    --------
    >>> places_of(np.array([[7, 2], [-1, 5]], np.int32), np.array([5, 7], np.int32)).tolist()
    [[1, 2], [2, 0]]
    """
    if not len(chosen):
        return np.zeros(indices.shape, np.intp)
    order = np.argsort(chosen)
    near = order[np.minimum(np.searchsorted(chosen, indices, sorter=order), len(chosen) - 1)]
    return np.where(chosen[near] == indices, near, len(chosen))
