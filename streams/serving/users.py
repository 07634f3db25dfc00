"""The users whose lists are ours to make, as serving sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.kafka.tables import RunTable


class Users(Protocol):
    """The users whose lists are ours to make."""

    @property
    def generation(self) -> int:
        """Counts rebalances: what was derived from the rows before one does not hold any more."""

    def partitions(self) -> set[int]:
        """Partitions that are ours and whole."""

    def names(self, partition: int) -> Iterable[str]:
        """Every user of a partition."""

    def row(self, partition: int, user: str) -> bytes | None:
        """Row of a user, packed."""

    def judged(self, partition: int) -> bytes:
        """What the judge keeps of a partition, packed."""


class TableUsers:
    """The users of a table.

    Parameters
    ----------
    table
        The table of user rows.
    ours
        Tells which of its partitions are ours and whole; none while a rebalance or recovery is under way.
    """

    def __init__(self, table: RunTable, ours: Callable[[], set[int]]) -> None:
        self._table = table
        self.partitions = ours

    @property
    def generation(self) -> int:
        """Counts rebalances."""
        return self._table.generation

    def names(self, partition: int) -> Iterable[str]:
        """Every user of a partition, as of now."""
        return (key.decode() for key in self._table.rows[partition].keys_now() if key != PARTITION_ROW_KEY)

    def row(self, partition: int, user: str) -> bytes | None:
        """Row of a user, packed."""
        return self._table.rows[partition].get(user.encode())

    def judged(self, partition: int) -> bytes:
        """What the judge keeps of a partition, packed."""
        return self._table.change(partition).agent_state
