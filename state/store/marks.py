"""Marks: what a partition of a table has already taken in.

Kafka delivers at least once. Every record between our agents names the partition and offset of the record that it was
made from. Each partition of a table keeps a mark for each source partition: the highest offset that it has counted. A
second delivery is at or below the mark and changes nothing.

Marks and the rows that they cover are written in one Kafka record batch. So after a crash rows and marks are of the
same moment.
"""

from __future__ import annotations

import msgspec
import numpy as np

PARTITION_ROW_VERSION = 1

PARTITION_ROW_KEY = b""
"""Key of the partition row. Ids are never empty, so no other row has this key."""


CLAIM_KEY = b"\xff"
"""Key of the records without value by which a worker claims a changelog partition. UTF-8 never encodes a text so."""

OWN_KEYS = frozenset({PARTITION_ROW_KEY, CLAIM_KEY})
"""Keys in a changelog that belong to no user or item."""


class PartitionRow(msgspec.Struct, array_like=True):
    """The row of a partition itself.

    Attributes
    ----------
    version
        Version of this layout.
    marks
        By source topic: the highest offset counted of each source partition, int64, little-endian; -1 for none.
    agent_state
        Opaque bytes of the agent that owns the table, such as the weights of the fusion.
    """

    version: int = PARTITION_ROW_VERSION
    marks: dict[str, bytes] = {}
    agent_state: bytes = b""


class Marks:
    """Highest offsets counted, by source topic and partition.

    Attributes
    ----------
    skipped
        Number of offsets that were skipped because they had been counted before.

    Examples
    --------
    >>> marks = Marks({}, partitions=2)
    >>> marks.count_offset("events", 1, 40), marks.count_offset("events", 1, 40), marks.count_offset("events", 0, 3)
    (True, False, True)
    """

    def __init__(self, packed: dict[str, bytes], partitions: int) -> None:
        self.skipped = 0
        self._partitions = partitions
        self._offsets = {topic: np.frombuffer(offsets, "<i8").tolist() for topic, offsets in packed.items()}

    def count_offset(self, topic: str, partition: int, offset: int) -> bool:
        """Count an offset by raising its mark; return False if it had been counted before."""
        offsets = self._offsets.get(topic)
        if offsets is None:
            offsets = self._offsets[topic] = [-1] * self._partitions
        if offset <= offsets[partition]:
            self.skipped += 1
            return False
        offsets[partition] = offset
        return True

    def forget(self, topic: str) -> None:
        """Forget what was counted of a topic: all its records count again."""
        self._offsets.pop(topic, None)

    def pack(self) -> dict[str, bytes]:
        """Pack the marks for the partition row."""
        return {topic: np.array(offsets, "<i8").tobytes() for topic, offsets in self._offsets.items()}
