"""Behaviour rows: what people do with an item; they change with every event.

A row is a record of fixed layout, so that the rows of a run are one numpy array and nothing is unpacked one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from models import factors, scorers
from state.marks import PARTITION_ROW_KEY
from state.rows import Readable
from state.tables import RowVersionError

BEHAVIOUR_ROW_VERSION = 1

ROW = np.dtype(
    [
        ("version", "<u1"),
        ("number", "<u4"),
        ("examples", "<u4"),
        ("mass", "<f4"),
        ("time", "<i8"),
        ("counts", "<f8", (len(scorers.HALF_LIVES_MS),)),
        ("keys", "<u8", (scorers.NEIGHBOURS,)),
        ("weights", "<f4", (scorers.NEIGHBOURS,)),
        ("factors", "<f4", (factors.WIDTH,)),
        ("accumulator", "<f4"),
    ]
)
"""Layout of a row.

``number`` counts the items of a partition in the order in which they came; ``examples`` are the times that the item
was taken; ``counts`` and ``time`` are those of ``models.popularity``; ``keys``, ``weights`` and ``mass`` those of
``models.neighbours``; ``factors`` and ``accumulator`` those of ``models.factors``.
"""

BehaviourArray = npt.NDArray[Any]
"""Array of ``ROW``."""


def unpack(packed: Iterable[bytes]) -> BehaviourArray:
    """Unpack rows into one array, read-only.

    Raises
    ------
    RowVersionError
        When another version of this program wrote a row.
    """
    joined = b"".join(packed)
    if len(joined) % ROW.itemsize:
        raise RowVersionError("An item's behaviour row has a length that this program does not know.")
    rows = np.frombuffer(joined, ROW)
    newest = int(rows["version"].max(initial=BEHAVIOUR_ROW_VERSION))
    if newest > BEHAVIOUR_ROW_VERSION:
        raise RowVersionError(
            f"An item's behaviour row has version {newest}; this program knows {BEHAVIOUR_ROW_VERSION}."
        )
    return rows


class BehaviourRows:
    """The behaviour rows of one partition as one array, which grows as items come.

    Parameters
    ----------
    rows
        The partition's rows as recovered.

    Attributes
    ----------
    ids, number
        Ids by number, and numbers by id.
    longest_id
        Length of the longest id, in bytes.
    array
        The rows, by number.
    """

    def __init__(self, rows: Readable) -> None:
        packed = {key: row for key, row in rows.items() if key != PARTITION_ROW_KEY}
        ids = list(packed)
        recovered = unpack(packed.values())
        order = np.argsort(recovered["number"])
        self.ids = [ids[place] for place in order]
        self.longest_id = max(map(len, self.ids), default=0)
        self.number = {item: number for number, item in enumerate(self.ids)}
        self.array: BehaviourArray = np.zeros(max(64, 2 * len(ids)), ROW)
        self.array[: len(ids)] = recovered[order]

    def __len__(self) -> int:
        return len(self.ids)

    def number_of(self, item: bytes) -> int:
        """Number of an item in the partition; a new item gets the next one and an empty row."""
        number = self.number.get(item)
        if number is None:
            number = self.number[item] = len(self.ids)
            self.ids.append(item)
            self.longest_id = max(self.longest_id, len(item))
            if number == len(self.array):
                self.array = np.concatenate([self.array, np.zeros(len(self.array), ROW)])
            self.array[number]["version"] = BEHAVIOUR_ROW_VERSION
            self.array[number]["number"] = number
        return number

    def packed(self, number: int) -> bytes:
        """Row of an item, packed."""
        return bytes(self.array[number].tobytes())
