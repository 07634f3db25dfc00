"""Where the rows of a table are kept: what every way must offer, and the one that keeps them in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, Protocol

from afresh.state.errors import AfreshError
from afresh.state.store.marks import PARTITION_ROW_KEY

TOMBSTONES_MS = 24 * 3_600_000
"""How long a changelog keeps the tombstone of a deleted row, at least."""

Written = tuple[bytes, bytes | None]
"""A key and its new row; None deletes the row."""


class StoreError(AfreshError):
    """Rows can not be kept; the message says why, and what to do."""


class Position(NamedTuple):
    """How far rows reflect their changelog.

    Attributes
    ----------
    offset
        Offset of the newest record that the rows hold, and with it all before.
    time
        When the rows were known to be whole up to there, in ms: tombstones written later can't have vanished from
        the changelog before ``delete.retention.ms`` has passed.
    """

    offset: int
    time: int


class Readable(Protocol):
    """Rows to be read one and all."""

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """All keys and their rows."""


class Rows(Readable, Protocol):
    """Rows of one partition of a table, by key."""

    @property
    def position(self) -> Position | None:
        """How far the rows reflect the changelog; None when its start has not been read."""

    def get(self, key: bytes, /) -> bytes | None:
        """Row of a key."""

    def keys_now(self) -> Iterator[bytes]:
        """All keys as of now, to be gone through slowly while rows are written."""

    def write(self, written: Iterable[Written], position: Position | None) -> None:
        """Write rows and the position that they bring about, together or not at all."""

    def forget(self) -> None:
        """Delete all rows and the position: the changelog is to be read from its start."""


class Partitions(Protocol):
    """Rows of the partitions of a table that a worker holds."""

    def __getitem__(self, partition: int, /) -> Rows:
        """Rows of a partition, as they were kept."""

    def keep_only(self, partitions: Collection[int]) -> None:
        """Let go of all other partitions."""

    def count_rows(self) -> int:
        """Rows in all partitions, without those of the partitions themselves; may be an estimate."""


class MemoryRows(dict[bytes, bytes]):
    """Rows in memory: gone with the process."""

    position: Position | None = None

    def keys_now(self) -> Iterator[bytes]:
        """All keys as of now, to be gone through slowly while rows are written."""
        return iter(list(self))

    def write(self, written: Iterable[Written], position: Position | None) -> None:
        """Write rows and the position that they bring about."""
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
    """Rows of a table in memory: a partition that moves away takes its rows with it."""

    def __missing__(self, partition: int) -> MemoryRows:
        rows = self[partition] = MemoryRows()
        return rows

    def keep_only(self, partitions: Collection[int]) -> None:
        """Drop the rows of all other partitions."""
        for partition in self.keys() - set(partitions):
            del self[partition]

    def count_rows(self) -> int:
        """Rows in all partitions, without those of the partitions themselves."""
        return sum(len(rows) - (PARTITION_ROW_KEY in rows) for rows in self.values())
