"""Users: the view that serving has of the user rows of this worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.kafka.tables import RunTable


class Users(Protocol):
    """The users whose lists this worker makes."""

    def partitions(self) -> set[int]:
        """Return the partitions that are ours and recovered."""

    def names(self, partition: int) -> Iterable[str]:
        """Return the names of all users of a partition."""

    def row(self, partition: int, user: str) -> bytes | None:
        """Return the packed row of a user; None if there is none."""


class TableUsers:
    """The users in a table.

    Parameters
    ----------
    table
        Table of user rows.
    ours
        Returns the partitions that are ours and recovered; none during a rebalance or a recovery.
    """

    def __init__(self, table: RunTable, ours: Callable[[], set[int]]) -> None:
        self._table = table
        self.partitions = ours

    def names(self, partition: int) -> Iterable[str]:
        """Return the names of all users of a partition; the caller may take hours."""
        keys = self._table.rows[partition].keys_slowly()
        return (key.decode() for key in keys if key != PARTITION_ROW_KEY)

    def row(self, partition: int, user: str) -> bytes | None:
        """Return the packed row of a user; None if there is none."""
        return self._table.rows[partition].get(user.encode())
