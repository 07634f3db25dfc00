"""sweep: whose lists are out of date though they do nothing, and what it takes to make them anew."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice, repeat
from typing import Protocol

from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.kafka.tables import RunTable

Stamp = tuple[int, int]
"""What a list was made from besides its user's row: versions of the Catalogue and of the partition's weights."""


class Users(Protocol):
    """The users whose lists are ours to make."""

    def partitions(self) -> set[int]:
        """Partitions that are ours and whole."""

    def names(self, partition: int) -> Iterable[str]:
        """Every user of a partition."""

    def row(self, partition: int, user: str) -> bytes | None:
        """Row of a user, packed."""

    def stage(self, partition: int) -> bytes:
        """What the judge keeps of a partition."""


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

    def names(self, partition: int) -> Iterable[str]:
        """Every user of a partition, as of now."""
        return (key.decode() for key in self._table.rows[partition].keys_now() if key != PARTITION_ROW_KEY)

    def row(self, partition: int, user: str) -> bytes | None:
        """Row of a user, packed."""
        return self._table.rows[partition].get(user.encode())

    def stage(self, partition: int) -> bytes:
        """What the judge keeps of a partition."""
        return self._table.change(partition).stage


class Sweep:
    """Remembers from what the newest lists were made, and tells which are out of date.

    Users of whom that is not remembered, such as all after a restart, are taken in passes over the table: a pass
    begins when anything has changed since the one before it began, so that once nothing changes any more every list
    is of the last state, and the sweep rests.

    Parameters
    ----------
    names
        Tells every user of a partition.
    limit
        Lists remembered.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        names: Callable[[int], Iterable[str]],
        limit: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._names = names
        self._limit = limit
        self._clock = clock
        self._made: OrderedDict[str, tuple[float, int, Stamp]] = OrderedDict()
        self._begun: dict[int, Stamp] = {}
        self._pass: Iterator[tuple[str, int]] = iter(())

    def note(self, user: str, partition: int, stamp: Stamp) -> None:
        """Note that a user's list was made."""
        self._made[user] = (self._clock(), partition, stamp)
        self._made.move_to_end(user)
        if len(self._made) > self._limit:
            self._made.popitem(last=False)

    def outdated(self, count: int, age_seconds: float, stamps: Mapping[int, Stamp]) -> dict[str, int]:
        """Choose users whose lists are to be made anew.

        Parameters
        ----------
        count
            How many at most.
        age_seconds
            Lists younger than this wait.
        stamps
            What a list would be made from now, by partition; users of other partitions are not ours.

        Returns
        -------
        Users and their partitions, those whose list is known to be oldest first.
        """
        chosen: dict[str, int] = {}
        before = self._clock() - age_seconds
        for user, (made_at, partition, stamp) in self._made.items():
            if made_at > before or len(chosen) == count:
                break
            if stamp != stamps.get(partition, stamp):
                chosen[user] = partition
        return chosen | dict(islice(self._unknown(stamps), count - len(chosen)))

    def _unknown(self, stamps: Mapping[int, Stamp]) -> Iterator[tuple[str, int]]:
        while True:
            for user, partition in self._pass:
                if partition in stamps and user not in self._made:
                    yield user, partition
            due = next((each for each, stamp in stamps.items() if self._begun.get(each) != stamp), None)
            if due is None:
                return
            self._begun[due] = stamps[due]
            self._pass = zip(self._names(due), repeat(due))

    def forget(self, partitions: set[int]) -> None:
        """Keep only what belongs to these partitions."""
        self._made = OrderedDict(item for item in self._made.items() if item[1][1] in partitions)
        self._begun = {each: stamp for each, stamp in self._begun.items() if each in partitions}

    def start_over(self) -> None:
        """Take every list for out of date."""
        self._made.clear()
        self._begun.clear()
        self._pass = iter(())
