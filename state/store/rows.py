"""Stores of a table's rows: the interface that every store must offer, and the store in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, Protocol

from afresh.state.errors import START_AGAIN_STATUS, AfreshError
from afresh.state.store.marks import PARTITION_ROW_KEY

TOMBSTONES_MS = 24 * 3_600_000
"""Least time, in ms, that a changelog keeps the tombstone of a deleted row."""

Written = tuple[bytes, bytes | None]
"""A key and its new row; None deletes the row."""


class StoreError(AfreshError):
    """Rows cannot be kept; the message says why and what to do."""


class DamagedError(StoreError):
    """The rows on disk are damaged; started again, the process makes them anew from the changelogs."""

    status = START_AGAIN_STATUS


class Position(NamedTuple):
    """Position in the changelog up to which the rows are complete.

    Attributes
    ----------
    offset
        Offset of the newest record that the rows contain. They contain all records before it, too.
    time
        Time at which the rows were complete up to there, in ms. Tombstones written later stay in the changelog until
        ``delete.retention.ms`` has passed.
    """

    offset: int
    time: int


class Readable(Protocol):
    """Rows that can be read all together."""

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """Return all keys and their rows."""


class Rows(Readable, Protocol):
    """Rows of one partition of a table, by key."""

    @property
    def position(self) -> Position | None:
        """Position of the rows in the changelog; None if the changelog must be read from its start."""

    def get(self, key: bytes, /) -> bytes | None:
        """Return the row of a key."""

    def keys_now(self) -> Iterator[bytes]:
        """Return all keys as of now. Rows may be written while the caller goes through them slowly."""

    def keys_slowly(self) -> Iterator[bytes]:
        """Return all keys for a caller who takes hours; of those written or deleted meanwhile, some."""

    def write(self, written: Iterable[Written], position: Position | None) -> None:
        """Write rows together with their new position, or nothing at all."""

    def forget(self) -> None:
        """Delete all rows and the position; the changelog must then be read from its start."""


class Partitions(Protocol):
    """Rows of a table in the partitions that a worker holds."""

    def __getitem__(self, partition: int, /) -> Rows:
        """Return the rows of a partition, as they were kept."""

    def keep_only(self, partitions: Collection[int]) -> None:
        """Release all other partitions."""

    def count_rows(self) -> int:
        """Count the rows in all partitions, without partition rows; the result may be an estimate."""


class MemoryRows(dict[bytes, bytes]):
    """Rows in memory. They are lost when the process ends."""

    position: Position | None = None

    def keys_now(self) -> Iterator[bytes]:
        """Return all keys as of now. Rows may be written while the caller goes through them slowly."""
        return iter(list(self))

    keys_slowly = keys_now

    def write(self, written: Iterable[Written], position: Position | None) -> None:
        """Write rows together with their new position."""
        for key, row in written:
            if row is None:
                self.pop(key, None)
            else:
                self[key] = row
        self.position = position

    def forget(self) -> None:
        """Delete all rows and the position."""
        self.clear()
        self.position = None


class MemoryPartitions(dict[int, MemoryRows]):
    """Rows of a table in memory. When a partition moves away, its rows are dropped."""

    def __missing__(self, partition: int) -> MemoryRows:
        rows = self[partition] = MemoryRows()
        return rows

    def keep_only(self, partitions: Collection[int]) -> None:
        """Drop the rows of all other partitions."""
        for partition in self.keys() - set(partitions):
            del self[partition]

    def count_rows(self) -> int:
        """Count the rows in all partitions, without partition rows."""
        return sum(len(rows) - (PARTITION_ROW_KEY in rows) for rows in self.values())
