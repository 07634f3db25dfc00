"""Behaviour rows: what people do with an item. They change with every event.

A row has a fixed layout. So the rows of a run are one numpy array, and no row is unpacked by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from afresh.models.layout import HALF_LIVES_MS, NEIGHBOURS
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.state.store.rows import Readable
from afresh.state.versions import RowVersionError, require_known

BEHAVIOUR_ROW_VERSION = 3
OLDEST_BEHAVIOUR_ROW_VERSION = 2

_HEAD = [
    ("version", "<u1"),
    ("number", "<u4"),
    ("examples", "<u4"),
    ("mass", "<f4"),
    ("time", "<i8"),
    ("counts", "<f4", (len(HALF_LIVES_MS),)),
]
_PAIR = [("key", "<u8"), ("weight", "<f4"), ("next", "<f2")]
ROW = np.dtype([*_HEAD, ("pairs", _PAIR, (NEIGHBOURS,))])
"""Layout of a row.

``number`` is the item's number in its partition, in order of arrival. ``examples`` says how often the item was taken.
``counts`` and ``time`` (in ms) belong to ``models.learning.popularity``. ``pairs`` and ``mass`` belong to
``models.learning.neighbours``; a pair is the key of a neighbour, how strongly it came before, and how strongly it came
just before. A packed row ends with its last neighbour.
"""

PAIR_BYTES = ROW["pairs"].base.itemsize
LEAST_BYTES = ROW.itemsize - NEIGHBOURS * PAIR_BYTES
"""Length of a packed row without neighbours."""

_ROW_2 = np.dtype([*_HEAD, ("pairs", _PAIR[:2], (NEIGHBOURS,))])
"""Layout of version 2, which had no weight for what came just before."""


def _lengths(row: np.dtype[np.void]) -> range:
    return range(LEAST_BYTES, row.itemsize + 1, row["pairs"].base.itemsize)


_LENGTHS = {2: _lengths(_ROW_2), 3: _lengths(ROW)}

BehaviourArray = npt.NDArray[Any]
"""Array of ``ROW``."""


def unpack(packed: Iterable[bytes]) -> BehaviourArray:
    """Unpack rows into one read-only array.

    Raises
    ------
    RowVersionError
        A row has an unknown version or length.
    """
    rows = list(packed)
    for version in {row[0] for row in rows if row}:
        require_known(
            version,
            "An item's behaviour row",
            known=BEHAVIOUR_ROW_VERSION,
            oldest=OLDEST_BEHAVIOUR_ROW_VERSION,
        )
    if not all(row and len(row) in _LENGTHS[row[0]] for row in rows):
        raise RowVersionError("An item's behaviour row has a length that this program does not know")
    rows = [row if row[0] == BEHAVIOUR_ROW_VERSION else _from_version_2(row) for row in rows]
    return np.frombuffer(b"".join(row.ljust(ROW.itemsize, b"\0") for row in rows), ROW)


def _from_version_2(packed: bytes) -> bytes:
    before = np.frombuffer(packed.ljust(_ROW_2.itemsize, b"\0"), _ROW_2)
    row = np.zeros(1, ROW)
    for name, *_ in _HEAD:
        row[name] = before[name]
    for name, *_ in _PAIR[:2]:
        row["pairs"][name] = before["pairs"][name]
    row["version"] = BEHAVIOUR_ROW_VERSION
    return row.tobytes()


class BehaviourRows:
    """The behaviour rows of one partition as one array that grows as items come.

    Parameters
    ----------
    rows
        The recovered rows of the partition.

    Attributes
    ----------
    ids, number
        Ids of items by number, and numbers by id.
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
        """Return the number of an item in the partition; a new item gets the next number and an empty row."""
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
        """Pack the row of an item."""
        row = self.array[number]
        neighbours = np.flatnonzero(row["pairs"]["key"])
        length = LEAST_BYTES + PAIR_BYTES * (int(neighbours[-1]) + 1 if len(neighbours) else 0)
        return bytes(row.tobytes()[:length])
