"""What the model tells workers: messages, in which items have numbers, and rows of one length.

A version of the model is told whole: the keys of all items (``Numbered``), a row for each (``Told``), and a last
message (``Whole``), with which it begins to count. Between two versions, ``Revised`` tells rows anew that changed.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from afresh.models.relations.relations import RANK
from afresh.models.retrieval.asking import AKIN, FOLLOWERS, RELATED

TOLD = np.dtype(
    [
        ("related", "<i4", (RELATED,)),
        ("strengths", "<i2", (RELATED,)),
        ("strength_scales", "<f4"),
        ("followers", "<i4", (FOLLOWERS,)),
        ("following", "<i2", (FOLLOWERS,)),
        ("following_scales", "<f4"),
        ("vectors", "<i2", (RANK,)),
        ("vector_scales", "<f4"),
        ("mass", "<f4"),
        ("akin", "<i4", (AKIN,)),
        ("likeness", "<u2", (AKIN,)),
        ("trust", "<f4"),
    ]
)
"""What is told of an item, which names others by number; see ``models.retrieval.asking.Items``."""

CODED = {"strengths": "strength_scales", "following": "following_scales", "vectors": "vector_scales"}
"""Fields that hold codes, and where their scales are; see ``models.retrieval.codes``."""

ToldArray = npt.NDArray[Any]
"""Array of ``TOLD``."""

NAMING = ("related", "followers", "akin")
"""Fields that hold numbers of items."""


class Numbered(msgspec.Struct, tag="numbered", array_like=True, frozen=True):
    """The items that have the numbers from ``first`` on in a version: their keys, 8 bytes each."""

    version: int
    first: int
    keys: bytes


class Told(msgspec.Struct, tag="told", array_like=True, frozen=True):
    """Rows of the items that have the numbers from ``first`` on in a version, as ``TOLD``."""

    version: int
    first: int
    rows: bytes


class Whole(msgspec.Struct, tag="whole", array_like=True, frozen=True):
    """The end of a version, from which on it counts.

    Attributes
    ----------
    version
        The version: the time at which it was begun, in ms.
    slot
        In which of two places it is kept; the next version takes the other one.
    items
        Number of its items.
    heads
        For each count the numbers of the items with the largest values: int32, shape (H, n).
    encoder, since
        Version of the encoder whose vectors lists are made from, as this version is, and the first version that was
        made so. Empty if nobody has planned which one: then it is the one that has read most items.
    """

    version: int
    slot: int
    items: int
    heads: bytes
    encoder: str = ""
    since: int = 0


class Revised(msgspec.Struct, tag="revised", array_like=True, frozen=True):
    """Rows of a version that are others now.

    Attributes
    ----------
    version, sequence
        The version, and how many revisions of it came before.
    first, keys
        Items that came since: the first of their numbers, and their keys.
    numbers, rows
        Numbers of the items whose rows follow, int32, and the rows, as ``TOLD``.
    heads, encoder
        As in ``Whole``.
    """

    version: int
    sequence: int
    first: int
    keys: bytes
    numbers: bytes
    rows: bytes
    heads: bytes
    encoder: str = ""


Message = Numbered | Told | Whole | Revised

decoder = msgspec.msgpack.Decoder(Message)
encode = msgspec.msgpack.Encoder().encode
