"""Requests: the users who wait for a new list, and the runs that wait for these lists to be committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from typing import NamedTuple

from afresh.streams.runs.run import Run

USERS_WAITING = 20_000
"""Users waiting from which on profile takes nothing in: a few runs, too, can ask for all users that a disk holds."""

RUNS_WAITING = 256
"""Runs whose lists are not pushed yet, at most: when Redis is slow, profile waits instead of piling up work."""


class WaitingUser(NamedTuple):
    """A user who waits: not the row, which may be large, for the table has it.

    Attributes
    ----------
    user, partition
        The user, and the partition of the row.
    received
        When Kafka took the newest event that the row takes in, in ms.
    """

    user: str
    partition: int
    received: int


class Requests:
    """Users in the order in which they asked first, and runs behind them.

    Attributes
    ----------
    asked
        Set when a user or a run has come to wait.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._users: dict[str, WaitingUser] = {}
        self._runs: list[Callable[[], object]] = []
        self._room_for_users = asyncio.Event()
        self._room_for_runs = asyncio.Semaphore(RUNS_WAITING)
        self._note_room()

    def __len__(self) -> int:
        return len(self._users)

    def add_users(self, partition: int, received: Mapping[str, int]) -> None:
        """Let users of a partition wait, given when Kafka took the newest event of each; who waits keeps the place."""
        self._users |= {user: WaitingUser(user, partition, time_ms) for user, time_ms in received.items()}
        self._note_room()
        self.asked.set()

    async def commit_once_served(self, run: Run) -> None:
        """Allow a run to be committed once the lists of all users who wait by now stand in Redis."""
        await self._room_for_runs.acquire()
        # The event, not the run: its records may go.
        self._runs.append(run.event.ack)
        self.asked.set()

    async def wait_for_room(self) -> None:
        """Return once more users may come to wait: before a part of a run, which may ask for as many as it likes."""
        await self._room_for_users.wait()

    def is_full(self) -> bool:
        """Whether profile takes nothing in until lists are pushed."""
        return self._room_for_runs.locked() or not self._room_for_users.is_set()

    def take_users(self, count: int) -> list[WaitingUser]:
        """Take so many users from the front."""
        taken = [self._users.pop(user) for user in list(islice(self._users, count))]
        self._note_room()
        return taken

    def take_runs(self) -> list[Callable[[], object]]:
        """Take all runs, as what allows each to be committed; ``let_go`` is to be called with them."""
        runs, self._runs = self._runs, []
        return runs

    def let_go(self, runs: Collection[Callable[[], object]]) -> None:
        """Allow runs to be committed whose lists stand in Redis."""
        for allow_commit in runs:
            allow_commit()
            self._room_for_runs.release()

    def keep_only(self, partitions: Collection[int]) -> None:
        """Forget the users of all other partitions."""
        self._users = {user: each for user, each in self._users.items() if each.partition in partitions}
        self._note_room()

    def _note_room(self) -> None:
        if len(self._users) < USERS_WAITING:
            self._room_for_users.set()
        else:
            self._room_for_users.clear()
