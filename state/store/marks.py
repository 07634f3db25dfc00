"""Marks: what a partition of a table has already taken in.

Kafka delivers at least once. Every record between our agents names the partition and offset of the record that it was
made from, and the incarnation of its topic: a topic that is deleted and made again begins its offsets again. Each
partition of a table keeps a mark for each source partition of each incarnation: the highest offset that it has counted.
A second delivery is at or below the mark and changes nothing.

Marks and the rows that they cover are written in one Kafka record batch. So after a crash rows and marks are of the
same moment.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec
import numpy as np

PARTITION_ROW_VERSION = 2

PARTITION_ROW_KEY = b""
"""Key of the partition row. Ids are never empty, so no other row has this key."""


CLAIM_KEY = b"\xff"
"""Key of the records without value by which a worker claims a changelog partition. UTF-8 never encodes a text so."""

OWN_KEYS = frozenset({PARTITION_ROW_KEY, CLAIM_KEY})
"""Keys in a changelog that belong to no user or item."""

UNKNOWN = 0
"""Incarnation in records and rows of 0.1.0, and of the topics of a broker that has no topic ids."""

INCARNATIONS_KEPT = 4
"""Incarnations of a topic that are remembered, so that a late record of an old one is still known."""

Counted = dict[str, dict[int, bytes]]
"""By source topic and incarnation, newest last: the highest offset counted of each source partition, int64,
little-endian; -1 for none."""


class Reached(NamedTuple):
    """The last record that a partition of a table has taken in from a topic that its stage reads.

    Attributes
    ----------
    incarnation
        Incarnation of the topic.
    offset, time, checksum
        The record's offset, Kafka's time of it in ms, and the checksum of its key and value.
    """

    incarnation: int
    offset: int
    time: int
    checksum: int


class KeptRecord(Protocol):
    """A record as Kafka keeps it: offset, time in ms, key and value."""

    @property
    def offset(self) -> int: ...  # noqa: D102 - see the class
    @property
    def timestamp(self) -> int: ...  # noqa: D102 - see the class
    @property
    def key(self) -> bytes | None: ...  # noqa: D102 - see the class
    @property
    def value(self) -> bytes | None: ...  # noqa: D102 - see the class


def reached_with(record: KeptRecord, incarnation: int) -> Reached:
    """Return what a partition row keeps of the last record taken in; another record at its offset differs from it."""
    checksum = zlib.crc32(record.value or b"", zlib.crc32(record.key or b""))
    return Reached(incarnation, record.offset, record.timestamp, checksum)


class PartitionRow(msgspec.Struct, array_like=True):
    """The row of a partition itself.

    Attributes
    ----------
    version
        Version of this layout.
    marks
        Marks in rows of version 1, where topics had no incarnation; empty since.
    agent_state
        Opaque bytes of the agent that owns the table, such as the weights of the fusion.
    counted
        The marks.
    reached
        By topic that the stage reads: the last record of each incarnation, newest incarnation last.
    changelog
        Incarnation of the changelog that the row was written for. A process that has not noticed yet that its changelog
        was made again writes into one that lacks all other rows.
    """

    version: int = PARTITION_ROW_VERSION
    marks: dict[str, bytes] = {}
    agent_state: bytes = b""
    counted: Counted = {}
    reached: dict[str, list[Reached]] = {}
    changelog: int = UNKNOWN

    def all_marks(self) -> Counted:
        """Return the marks, whatever the version."""
        return {topic: {UNKNOWN: offsets} for topic, offsets in self.marks.items()} | self.counted


class Marks:
    """Highest offsets counted, by source topic, incarnation and partition.

    Attributes
    ----------
    skipped
        Number of offsets that were skipped because they had been counted before.

    Examples
    --------
    >>> marks = Marks({}, partitions=2)
    >>> [marks.count_offset("events", 7, 1, offset) for offset in (40, 40, 41)]
    [True, False, True]
    >>> marks.count_offset("events", 8, 1, 0)
    True
    """

    def __init__(self, packed: Mapping[str, Mapping[int, bytes]], partitions: int) -> None:
        self.skipped = 0
        self._partitions = partitions
        self._offsets: dict[str, dict[int, list[int]]] = {
            topic: {each: np.frombuffer(offsets, "<i8").tolist() for each, offsets in kept.items()}
            for topic, kept in packed.items()
        }

    def count_offset(self, topic: str, incarnation: int, partition: int, offset: int) -> bool:
        """Count an offset by raising its mark; return False if it had been counted before."""
        try:
            offsets = self._offsets[topic][incarnation]
        except KeyError:
            offsets = self._meet(topic, incarnation)
        if offset <= offsets[partition]:
            self.skipped += 1
            return False
        offsets[partition] = offset
        return True

    def highest(self, topic: str, incarnation: int, partition: int) -> int:
        """Return the highest offset counted; -1 for none."""
        kept = self._offsets.get(topic, {})
        offsets = kept.get(incarnation) or kept.get(UNKNOWN)
        return offsets[partition] if offsets else -1

    def forget(self, topic: str) -> None:
        """Forget what was counted of a topic: all its records count again."""
        self._offsets.pop(topic, None)

    def adopt(self, topic: str, incarnation: int) -> None:
        """Let marks without an incarnation be those of this one."""
        if UNKNOWN in self._offsets.get(topic, ()):
            self._meet(topic, incarnation)

    def _meet(self, topic: str, incarnation: int) -> list[int]:
        """Return the marks of an incarnation that has none of its own yet."""
        kept = self._offsets.setdefault(topic, {})
        if incarnation == UNKNOWN and kept:
            # A record on its way since 0.1.0: the oldest marks are those that it had.
            return next(iter(kept.values()))
        offsets = kept[incarnation] = kept.pop(UNKNOWN, []) or [-1] * self._partitions
        if len(kept) > INCARNATIONS_KEPT:
            del kept[next(iter(kept))]
        return offsets

    def pack(self) -> Counted:
        """Pack the marks for the partition row."""
        return {
            topic: {each: np.array(offsets, "<i8").tobytes() for each, offsets in kept.items()}
            for topic, kept in self._offsets.items()
        }


def reach(reached: dict[str, list[Reached]], topic: str, last: Reached) -> None:
    """Note the last record taken in from a topic, unless a later one of its incarnation stands there already.

    Examples
    --------
    >>> kept = {"events": [Reached(7, 40, 0, 0)]}
    >>> reach(kept, "events", Reached(7, 39, 0, 0))
    >>> reach(kept, "events", Reached(8, 0, 0, 0))
    >>> [(each.incarnation, each.offset) for each in kept["events"]]
    [(7, 40), (8, 0)]
    """
    before = reached.get(topic, [])
    if before and before[-1].incarnation == last.incarnation:
        if last.offset > before[-1].offset:
            reached[topic] = [*before[:-1], last]
    else:
        reached[topic] = [*before, last][-INCARNATIONS_KEPT:]
