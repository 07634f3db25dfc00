"""Marks: what a partition of a table has already taken in.

Kafka delivers at least once. Every record between our agents names the partition and offset of the record that it
was made from, and each partition of a table keeps the highest such offset that it has counted, one for each source
partition. A second delivery is at or below the mark and changes nothing.

The marks stand in the same Kafka record batch as the rows that they cover, so that after a crash rows and marks
are of the same moment.
"""

from __future__ import annotations

import msgspec
import numpy as np

PARTITION_ROW_VERSION = 1

PARTITION_ROW_KEY = b""
"""Key of a partition's own row; ids are never empty, so no other row has it."""


CLAIM_KEY = b"\xff"
"""Key of the records without value with which a worker claims a changelog's partition; no text is encoded like this."""

OWN_KEYS = frozenset({PARTITION_ROW_KEY, CLAIM_KEY})
"""Keys in a changelog that name no row of a user or an item."""


class PartitionRow(msgspec.Struct, array_like=True):
    """What a table keeps for a partition as a whole.

    Attributes
    ----------
    version
        Version of this layout.
    marks
        For each source topic the highest offset counted, by source partition; int64, -1 for none.
    agent_state
        What the agent that owns the table keeps there besides, such as the weights of the fusion.
    """

    version: int = PARTITION_ROW_VERSION
    marks: dict[str, bytes] = {}
    agent_state: bytes = b""


class Marks:
    """Highest offsets counted, by source topic and partition.

    Attributes
    ----------
    skipped
        How many were to be marked that had been counted before.

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
        """Mark an offset as counted; return whether it is counted for the first time."""
        offsets = self._offsets.get(topic)
        if offsets is None:
            offsets = self._offsets[topic] = [-1] * self._partitions
        if offset <= offsets[partition]:
            self.skipped += 1
            return False
        offsets[partition] = offset
        return True

    def pack(self) -> dict[str, bytes]:
        """Pack for a partition's row."""
        return {topic: np.array(offsets, "<i8").tobytes() for topic, offsets in self._offsets.items()}
