"""Keys: ids of any length as 64-bit integers, so that rows can hold items as arrays of integers.

The probability that any two of n ids share a key is about n² / 2⁶⁵ (birthday bound): 3e-6 for ten million items.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

NO_KEY = 0
"""Stands in an empty place of an array of keys; no id has this key."""


def key_of(name: str) -> int:
    """Return the 64-bit key of an id, never ``NO_KEY``.

    Examples
    --------
    >>> key_of("film-1") == key_of("film-1") != key_of("film-2")
    True
    """
    return xxh3_64_intdigest(name.encode("utf-8", "surrogatepass")) or 1


def keys_of(names: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Return the keys of ids, shape (n,)."""
    return np.array([key_of(name) for name in names], np.uint64)
