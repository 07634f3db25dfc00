"""What a list is made from: a user, what is known about the items, and both together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from afresh.models.arrays import NONE, Floats, Indices, Integers, Keys, Mask, Naturals
from afresh.models.layout import HORIZONS
from afresh.models.learning.horizons import tenure_of
from afresh.models.learning.neighbours import Kernel
from afresh.models.retrieval.places import Numbering

RELATED = 100
"""Number of the strongest relations kept for an item. Only these lead to candidates, and only these have their own
strength beside the smoothed one."""

FOLLOWERS = 100
"""Number of the strongest followers kept for an item."""

AKIN = 30
"""Number of items of nearest text kept for an item."""

ASK = Kernel(0.95, 100.0, 0.03)
"""Weight of an item of the history when a list is made."""

ASK_LONG = Kernel(0.9, 100_000.0, 0.5)
"""Like ``ASK``, but items taken before this visit count as well."""

ASKED_TEXT = 8
"""Number of items of a history, the newest, whose texts are compared."""

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


@dataclass(frozen=True)
class Items:
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
    embeddings
        Embedding of each item's text, of unit length or 0, shape (N, E).
    related, strengths, vectors, mass
        See ``models.relations.relations.Relations``.
    followers, following
        Followers of each item and their strengths, see ``models.relations.transitions``, shape (N, ``FOLLOWERS``).
    akin, likeness
        Items of nearest text and their cosines, see ``models.relations.texts``, shape (N, ``AKIN``).
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
    embeddings: Floats
    related: Indices
    strengths: Floats
    vectors: Floats
    mass: Floats
    followers: Indices
    following: Floats
    akin: Indices
    likeness: Floats
    heads: Indices
    trust: Floats


class Asked:
    """A user's history, as far as the Catalogue knows its items, and what the scorers need of it.

    Attributes
    ----------
    user, items, numbering
        The arguments it was made from.
    indices
        Indices of the known items, newest first, shape (l,).
    """

    def __init__(self, user: User, items: Items, numbering: Numbering) -> None:
        self.user = user
        self.items = items
        self.numbering = numbering
        numbering.reach(len(items.keys))
        known = user.history != NONE
        self.indices = user.history[known]
        self._known = known
        self._weights: dict[Kernel, Floats] = {}

    def weights(self, kernel: Kernel) -> Floats:
        """Return the weights of the known items by a kernel, shape (l,)."""
        if kernel not in self._weights:
            self._weights[kernel] = np.asarray(kernel.weights(self.user.ages)[self._known])
        return self._weights[kernel]

    @cached_property
    def related(self) -> Indices:
        """Items related to each known item, shape (l, ``RELATED``)."""
        return np.asarray(self.items.related[self.indices])

    @cached_property
    def strengths(self) -> Floats:
        """Strengths of these relations, shape (l, ``RELATED``)."""
        return np.asarray(self.items.strengths[self.indices])

    @property
    def tenure(self) -> int:
        """Column of ``Items.counts`` for the user's tenure."""
        return HORIZONS + int(tenure_of(np.array([self.user.taken]))[0])
