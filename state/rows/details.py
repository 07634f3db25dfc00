"""Details: how each item of a history was taken, as packed records beside its key and its time.

A record names platforms and domains by their index among the names that its row, or its example, carries.
"""

from __future__ import annotations

from math import nan
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

DETAIL = np.dtype([("type", "u1"), ("platform", "u1"), ("domain", "u1"), ("account", "u1"), ("value", "<f2")])
"""Layout of a record: code of the event's type, indices of its platform, domain and account, and its value.

The value is NaN where the event had none.
"""

OWN_ACCOUNT = 0
"""Index of the account that is the row's own user."""

TYPES: dict[str, int] = {
    "view": 1,
    "click": 2,
    "add_to_cart": 3,
    "purchase": 4,
    "rating": 5,
    "like": 6,
    "dislike": 7,
    "impression": 8,
}
"""Code of each type of event. Rows hold the codes: new types are appended, and no code is ever used again."""

UNKNOWN_TYPE = 0
"""Code of a type that has none, and of an item that was taken before rows had details."""

NAMES = 32
"""Number of platforms, and of domains, that have an index. Each example carries their names."""

OTHER = 255
"""Index of all other names, and of those that are not known."""

LARGEST_VALUE = 65504.0
"""Largest number of 16 bits. Values beyond it are stored as this one."""

_pack = Struct("<BBBBe").pack

BYTES = DETAIL.itemsize

UNKNOWN = _pack(UNKNOWN_TYPE, OTHER, OTHER, OWN_ACCOUNT, nan)
"""Record of an item of which nothing is known."""

Details = npt.NDArray[Any]
"""Array of ``DETAIL``."""


def pack(kind: str, platform: int, domain: int, account: int, value: float | None) -> bytes:
    """Pack the record of one item.

    Parameters
    ----------
    kind
        Type of the event.
    platform, domain, account
        Indices.
    value
        Value of the event, if it has one; limited to what 16 bits can hold.

    Examples
    --------
    >>> unpack(pack("rating", 0, 1, OWN_ACCOUNT, 4.5)).tolist()
    [(5, 0, 1, 0, 4.5)]
    """
    if value is None:
        value = nan
    elif value > LARGEST_VALUE:
        value = LARGEST_VALUE
    elif value < -LARGEST_VALUE:
        value = -LARGEST_VALUE
    return _pack(TYPES.get(kind, UNKNOWN_TYPE), platform, domain, account, value)


def unpack(packed: bytes) -> Details:
    """Return packed records as an array, shape (n,)."""
    return np.frombuffer(packed, DETAIL)


def index_of(names: tuple[str, ...], name: str) -> int:
    """Return the index of a name among those that have one; ``OTHER`` if it has none.

    Examples
    --------
    >>> index_of(("films", "books"), "books"), index_of((), "books")
    (1, 255)
    """
    return names.index(name) if name in names else OTHER
