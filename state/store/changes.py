"""Changes of rows: a run makes them apart from the rows, and others see them only when Kafka has acknowledged them.

A change contains the rows together with the marks of what they have taken in (see ``state.store.marks``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

import msgspec

from afresh.state.store.marks import (
    PARTITION_ROW_KEY,
    PARTITION_ROW_VERSION,
    UNKNOWN,
    Marks,
    PartitionRow,
    Reached,
    reach,
)
from afresh.state.store.rows import Position, Rows, Written
from afresh.state.versions import unpack_known

T = TypeVar("T")

CHANGE_BYTES = 750_000
"""Most bytes of rows in one change, unless Kafka takes less. With keys and framing they fit into one record batch of
1 MB."""

DELETION_BYTES = 60
"""Upper bound on what Kafka adds to the key of a deleted row, in bytes."""

_partition_row_decoder = msgspec.msgpack.Decoder(PartitionRow)
_encode = msgspec.msgpack.Encoder().encode


def in_groups(keys: Iterable[bytes], room: int) -> Iterator[list[bytes]]:
    """Group keys so that the deletions of each group fit into one change with room for so many bytes.

    Examples
    --------
    >>> [len(group) for group in in_groups([b"i" * 100] * 10_000, CHANGE_BYTES)]
    [4687, 4687, 626]
    """
    group: list[bytes] = []
    size = 0
    for key in keys:
        size += len(key) + DELETION_BYTES
        if group and size > room:
            yield group
            group, size = [], len(key) + DELETION_BYTES
        group.append(key)
    if group:
        yield group


class Assigned(Protocol):
    """The partitions that are assigned to us, until the next rebalance."""

    @property
    def generation(self) -> int:
        """Number of rebalances. After each one, values derived from rows must be derived anew."""


class PerAssignment(Generic[T]):
    """Values that an agent derives from the rows of each partition, anew after every rebalance.

    They cannot be kept: a run that a rebalance drops has already changed them, and will be read again.

    Parameters
    ----------
    assigned
        Object that counts rebalances, such as a table.
    derive
        Function that derives the value from the rows of a partition.
    """

    def __init__(self, assigned: Assigned, derive: Callable[[int], T]) -> None:
        self._assigned = assigned
        self._derive = derive
        self._derived: dict[int, tuple[int, T]] = {}

    def __getitem__(self, partition: int) -> T:
        generation = self._assigned.generation
        known = self._derived.get(partition)
        if known is None or known[0] != generation:
            # Values of partitions that have moved away must not stay in memory.
            self._derived = {p: each for p, each in self._derived.items() if each[0] == generation}
            known = self._derived[partition] = generation, self._derive(partition)
        return known[1]


def partition_row(rows: Rows) -> PartitionRow | None:
    """Return the partition row among the rows of a partition; None if there is none.

    Raises
    ------
    RowVersionError
        If another version of this program wrote it.
    """
    own = rows.get(PARTITION_ROW_KEY)
    if not own:
        return None
    return unpack_known(_partition_row_decoder, own, "A partition's row", PARTITION_ROW_VERSION)


class Change:
    """Rows to be written together. The run that makes them sees them; others see them only after ``apply``.

    Parameters
    ----------
    rows, partitions
        Rows of the partition, and how many partitions there are.
    changelog
        Incarnation of the changelog that they are written to.
    room
        Most bytes of rows that it may hold.

    Attributes
    ----------
    room
        Most bytes of rows that it may hold.
    """

    def __init__(
        self, rows: Rows, partitions: int, changelog: int = UNKNOWN, room: int = CHANGE_BYTES
    ) -> None:
        self.room = room
        self._rows = rows
        self._changed: dict[bytes, bytes | None] = {}
        row = partition_row(rows) or PartitionRow()
        self.marks = Marks(row.all_marks(), partitions)
        self.agent_state = row.agent_state
        self._reached = row.reached
        self._changelog = changelog

    def get(self, key: bytes) -> bytes | None:
        """Return the row of a key as this change sees it."""
        if key in self._changed:
            return self._changed[key]
        return self._rows.get(key)

    def put_row(self, key: bytes, row: bytes) -> None:
        """Set the row of a key."""
        self._changed[key] = row

    def delete_row(self, key: bytes) -> None:
        """Delete the row of a key."""
        self._changed[key] = None

    def reach(self, topic: str, last: Reached) -> None:
        """Note the last record taken in from a topic that the stage reads."""
        reach(self._reached, topic, last)

    def records(self) -> list[Written]:
        """Return the changed rows and the partition row, for one record batch."""
        own = PartitionRow(
            agent_state=self.agent_state,
            counted=self.marks.pack(),
            reached=self._reached,
            changelog=self._changelog,
        )
        return [*self._changed.items(), (PARTITION_ROW_KEY, _encode(own))]

    def apply(self, first: int) -> None:
        """Make the change visible to everybody; call it when the record batch is acknowledged.

        Parameters
        ----------
        first
            Offset that Kafka gave to the first record of the batch; below 0 if it is not known.
        """
        records = self.records()
        position = self._rows.position
        # If a batch does not follow the one before, somebody else wrote in between (a worker that slept), or Kafka
        # took a batch twice. Then the position stays, and the next recovery reads everything after it.
        if first == (0 if position is None else position.offset + 1):
            position = Position(first + len(records) - 1, int(time.time() * 1000))
        self._rows.write(records, position)
