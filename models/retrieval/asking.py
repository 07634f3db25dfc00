"""What a list is asked with: a user, what is known of the items, and both together."""

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
"""Of the strongest relations of an item those that lead to candidates, and that are not smoothed alone."""

FOLLOWERS = 100
"""Of what followed an item the strongest."""

AKIN = 30
"""Items of like text kept for an item."""

ASK = Kernel(0.95, 100.0, 0.03)
"""Weight of an item of the history when a list is made."""

ASK_LONG = Kernel(0.9, 100_000.0, 0.5)
"""The same, of what a user took before this visit as well."""

ASKED_TEXT = 8
"""Items of a history whose texts are compared."""

ASKED_MASS = np.float32(0.06)
TAKEN_MASS = np.float32(0.18)
"""Powers of the mass of the item asked and of the item scored that a relation is multiplied with."""


@dataclass(frozen=True)
class User:
    """A user to make a list for.

    Attributes
    ----------
    history
        Catalogue indices of the user's items, newest first, shape (L,), L <= ``models.layout.HISTORY``; -1 where
        unknown.
    ages
        Seconds from each of them to the newest, shape (L,).
    taken
        Items taken in all.
    now_ms
        When the list is made.
    """

    history: Indices
    ages: Floats
    taken: int
    now_ms: int


@dataclass(frozen=True)
class Items:
    """What is known of the items, as arrays of N rows.

    Attributes
    ----------
    available
        Whether a list may hold the item, shape (N,).
    keys
        Shape (N,); candidates are put into their order.
    domain
        Number of its domain, shape (N,).
    examples
        How often each was taken, shape (N,).
    counts, count_times
        Of ``models.learning.popularity``, a column for each of ``models.layout.HALF_LIVES_MS``: shape (N, H) and (N,).
    embeddings
        Of the text, unit length or 0, shape (N, E).
    related, strengths, vectors, mass
        Of ``models.relations.relations``.
    followers, following
        Of ``models.relations.transitions``, shape (N, ``FOLLOWERS``).
    akin, likeness
        Of ``models.relations.texts``, shape (N, ``AKIN``).
    heads
        The items with the largest counts, largest first, shape (H, at most ``HEAD``).
    trust
        Of ``models.relations.trust``, shape (N,).
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
    """A user's known items, and what is asked with them.

    Attributes
    ----------
    rows
        Catalogue indices, newest first, shape (l,).
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
        """Weights of the items by a kernel, shape (l,)."""
        if kernel not in self._weights:
            self._weights[kernel] = np.asarray(kernel.weights(self.user.ages)[self._known])
        return self._weights[kernel]

    @cached_property
    def related(self) -> Indices:
        """Items related to those asked, shape (l, ``RELATED``)."""
        return np.asarray(self.items.related[self.indices])

    @cached_property
    def strengths(self) -> Floats:
        """How strongly, shape (l, ``RELATED``)."""
        return np.asarray(self.items.strengths[self.indices])

    @property
    def tenure(self) -> int:
        """Column of the counts of the user's tenure."""
        return HORIZONS + int(tenure_of(np.array([self.user.taken]))[0])
