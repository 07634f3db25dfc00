"""Lookup: finds items by their keys, in a table with open addressing (Knuth 1998, The art of computer programming 6.4).

A place of the table holds the number of an item. Where to look for a key follows from its lower half, so that one table
also finds all items whose keys share a half. Python's own tables of numbers took 300 bytes an item and 1 µs a key.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import NONE, Indices, Keys
from afresh.models.compiled import compiled

_HALF = np.uint64(0xFFFFFFFF)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Spreads keys that follow one another: 2⁶⁴ divided by the golden ratio."""


@compiled
def _first(key: np.uint64, mask: np.uint64) -> np.uint64:
    """Return where to look first for a key, or for any key with its lower half."""
    return np.uint64((((key & _HALF) * _SPREAD) >> np.uint64(32)) & mask)


@compiled
def enter(table: Indices, keys: Keys, start: int) -> None:
    """Enter all items from number ``start`` on; the table's length is a power of 2, and more than their number."""
    mask = np.uint64(len(table) - 1)
    for number in range(start, len(keys)):
        place = _first(keys[number], mask)
        while table[place] != NONE:
            place = (place + np.uint64(1)) & mask
        table[place] = number


@compiled
def find(table: Indices, keys: Keys, wanted: Keys) -> Indices:
    """Return the numbers of the items with these keys, ``NONE`` for those that are not in the table, shape (n,)."""
    mask = np.uint64(len(table) - 1)
    found = np.full(len(wanted), NONE, np.int32)
    for row in range(len(wanted)):
        place = _first(wanted[row], mask)
        while table[place] != NONE:
            if keys[table[place]] == wanted[row]:
                found[row] = table[place]
                break
            place = (place + np.uint64(1)) & mask
    return found


@compiled
def find_halves(table: Indices, keys: Keys, halves: Keys) -> Indices:
    """Return the numbers of all items whose keys have one of these lower halves."""
    mask = np.uint64(len(table) - 1)
    found = np.empty(len(halves) + 8, np.int32)
    count = 0
    for half in halves:
        place = _first(half, mask)
        while table[place] != NONE:
            if keys[table[place]] & _HALF == half:
                if count == len(found):
                    found = np.concatenate((found, np.empty(count, np.int32)))
                found[count] = table[place]
                count += 1
            place = (place + np.uint64(1)) & mask
    return found[:count]
