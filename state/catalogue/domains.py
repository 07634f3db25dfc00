"""Domains: the names of the items' domains, and what the popular lists need of each.

A worker makes popular lists every second. To go through a million items for them, or through all items once for each of
a thousand domains, would hold everything up. So the most taken items of a domain, its *head*, are kept: only items that
have moved since the last look can have come into it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from afresh.models.arrays import NONE, Indices, Keys, Reals
from afresh.models.layout import HALF_LIVES_MS
from afresh.models.retrieval.asking import Items
from afresh.state.catalogue.growing import Growing

KEPT = 1024
"""Items kept of each domain: several times as many as a list holds, so that seldom too few are left of them."""

LAST_KEY = np.iinfo(np.uint64).max

TIMES = 3
"""Items are counted by how often they were taken: never, once, or more often."""


class Takes(NamedTuple):
    """How many available items of a domain were never taken, and how many once."""

    never: int
    once: int


class _Head(NamedTuple):
    """The most taken items of a domain, best first: at least all that are as good as the floor.

    Attributes
    ----------
    indices
        Indices of the items, shape (at most 2 × ``KEPT``,).
    floor, key
        Rate and key of the last item that is in for certain; the key is ``LAST_KEY`` if all items of the domain are.
    """

    indices: Indices
    floor: float
    key: int


class Domains:
    """What is known of each domain. Items move by ``move``; ``look`` takes that in.

    Attributes
    ----------
    names
        Name of each domain, by its number.
    changed
        Numbers of the domains in which items have moved; whoever has seen to them takes them out.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.changed: set[int] = set()
        self._numbers: dict[str, int] = {}
        self._heads: dict[int, _Head] = {}
        self._of = Growing(moved=((), np.bool_, False), cell=((), np.int32, NONE))
        self._takes = Growing(takes=((TIMES,), np.int64, 0))
        self._has_moved = False

    def number(self, name: str) -> int:
        """Return the number of a domain; a new one gets the next."""
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
            self._takes.reach(len(self.names))
        return number

    def move(self, indices: Indices) -> None:
        """Note items whose counts, trust, domain or availability may have changed."""
        self._of.cover(indices)
        self._of["moved"][indices] = True
        self._has_moved = True

    def forget(self) -> None:
        """Forget the heads of all domains, because the trust in all items has changed."""
        self._heads = {}

    def look(self, items: Items) -> None:
        """Take in what has moved since the last look."""
        if not self._has_moved:
            return
        self._has_moved = False
        self._of.reach(len(items.keys))
        moved = np.flatnonzero(self._of["moved"]).astype(np.int32)
        self._of["moved"][moved] = False
        left = self._of["cell"][moved]
        inside = items.available[moved] & (items.domain[moved] != NONE)
        cells = items.domain[moved] * TIMES + np.minimum(items.examples[moved], TIMES - 1).astype(np.int32)
        came = self._of["cell"][moved] = np.where(inside, cells, NONE)
        takes, left, came = self._takes["takes"].reshape(-1), left[left != NONE], came[came != NONE]
        np.subtract.at(takes, left, 1)
        np.add.at(takes, came, 1)
        self.changed.update((np.concatenate([left, came]) // TIMES).tolist())
        for number, indices in _by_domain(moved[inside], items).items():
            if number in self._heads:
                self._heads[number] = _with(self._heads[number], number, indices, items)

    def takes(self, number: int) -> Takes:
        """Return how often the available items of a domain were taken."""
        never, once, _ = self._takes["takes"][number].tolist()
        return Takes(never, once)

    def head(self, number: int, size: int, items: Items) -> Indices:
        """Return the ``size`` available items of a domain that are taken most, best first; ties by key."""
        head = self._standing(number, items)
        if len(head.indices) < size and head.key != LAST_KEY:
            self._heads.pop(number, None)
            head = self._standing(number, items, size)
        return head.indices[:size]

    def _standing(self, number: int, items: Items, size: int = 0) -> _Head:
        if number not in self._heads:
            new = [each for each in range(len(self.names)) if each not in self._heads]
            inside = items.available & np.isin(items.domain, new)
            found = _by_domain(np.flatnonzero(inside).astype(np.int32), items)
            none = np.empty(0, np.int32)
            self._heads |= {each: _best(found.get(each, none), items, max(KEPT, size)) for each in new}
        head = self._heads[number]
        still = items.available[head.indices] & (items.domain[head.indices] == number)
        return head._replace(indices=head.indices[still])


def rates(items: Items, indices: Indices) -> Reals:
    """Return by what items are compared: the base-2 logarithm of their popular counts at a fixed time, trust included.

    Counts fade alike, so that this order is that of the counts at any moment, and an item's rate changes only with its
    row or its trust.
    """
    counts = items.counts[indices, 0].astype(np.float64) * items.trust[indices]
    with np.errstate(divide="ignore"):
        return np.asarray(np.log2(counts) + items.count_times[indices] / HALF_LIVES_MS[0])


def _by_domain(indices: Indices, items: Items) -> dict[int, Indices]:
    """Divide items by the numbers of their domains."""
    numbers = items.domain[indices]
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    return dict(zip(found.tolist(), np.split(indices[order], starts[1:]), strict=False))


def _best(indices: Indices, items: Items, most: int) -> _Head:
    """Return the head of a domain with these items."""
    if len(indices) <= most:
        return _Head(_sorted(indices, rates(items, indices), items.keys[indices]), -np.inf, LAST_KEY)
    rated = rates(items, indices)
    last = np.partition(rated, -most)[-most]
    tied, above = np.flatnonzero(rated == last), np.flatnonzero(rated > last)
    # Of a million items that nobody has taken, only these keys are sorted.
    tied = tied[np.argsort(items.keys[indices[tied]])[: most - len(above)]] if len(tied) > 1 else tied
    best = np.concatenate([above, tied])
    found = _sorted(indices[best], rated[best], items.keys[indices[best]])
    return _Head(found, float(last), int(items.keys[found[-1]]))


def _with(head: _Head, number: int, moved: Indices, items: Items) -> _Head:
    """Return a head into which items of its domain may have moved."""
    indices = np.union1d(head.indices, moved).astype(np.int32)
    indices = indices[items.available[indices] & (items.domain[indices] == number)]
    rated, keys = rates(items, indices), items.keys[indices]
    inside = (rated > head.floor) | ((rated == head.floor) & (keys <= head.key))
    found = _sorted(indices[inside], rated[inside], keys[inside])
    if len(found) <= 2 * KEPT:
        return head._replace(indices=found)
    last = found[KEPT - 1 : KEPT]
    return _Head(found[:KEPT], float(rates(items, last)[0]), int(items.keys[last[0]]))


def _sorted(indices: Indices, rated: Reals, keys: Keys) -> Indices:
    return indices[np.lexsort((keys, -rated))]
