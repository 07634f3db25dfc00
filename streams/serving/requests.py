"""Requests: the users who wait for a new list, and the runs whose commit waits for these lists."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from typing import NamedTuple

from afresh.streams.runs.run import Run

USERS_WAITING = 20_000
"""Number of waiting users at which profile takes in no more: even a few runs can request lists for all users."""

RUNS_WAITING = 256
"""Maximum number of runs that wait for lists: when Redis is slow, profile waits instead of piling up work."""


class WaitingUser(NamedTuple):
    """A user who waits for a list. The row is not kept here: it may be large, and the table has it.

    Attributes
    ----------
    user, partition
        The user, and the partition of the user's row.
    received
        When Kafka took the newest event that the row contains, in ms since 1970; 0 if no event is new.
    since
        When the user began to wait, seconds of a monotonic clock.
    """

    user: str
    partition: int
    received: int
    since: float = 0.0


class Requests:
    """Queue of waiting users, in the order of their first request, and of the runs that wait for them.

    Whoever has waited longest is served next, however often others ask: while lists cannot keep up, all wait about as
    long.

    Parameters
    ----------
    clock
        Clock, monotonic, in seconds.

    Attributes
    ----------
    asked
        Set when a user or a run begins to wait.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.asked = asyncio.Event()
        self._users: dict[str, WaitingUser] = {}
        self._runs: list[Callable[[], object]] = []
        self._room_for_users = asyncio.Event()
        self._room_for_runs = asyncio.Semaphore(RUNS_WAITING)
        self._note_room()

    def __len__(self) -> int:
        return len(self._users)

    def __contains__(self, user: object) -> bool:
        return user in self._users

    def add_users(self, partition: int, received: Mapping[str, int]) -> None:
        """Add users of a partition to the queue; a user who is in it already stays where it is.

        Parameters
        ----------
        partition
            Partition of the users' rows.
        received
            When Kafka took the newest event in each user's row, in ms since 1970.
        """
        now, waiting = self._clock(), self._users
        self._users |= {
            user: WaitingUser(user, partition, time_ms, waiting[user].since if user in waiting else now)
            for user, time_ms in received.items()
        }
        self._note_room()
        self.asked.set()

    async def commit_once_served(self, run: Run) -> None:
        """Allow the commit of a run once the lists of all users who wait now are in Redis."""
        await self._room_for_runs.acquire()
        # Keep the event, not the run: the run would hold its records in memory.
        self._runs.append(run.event.ack)
        self.asked.set()

    async def wait_for_room(self) -> None:
        """Wait until there is room for more users. Called before each part of a run, which may add any number."""
        await self._room_for_users.wait()

    def longest_wait(self) -> float:
        """Return for how long the user has waited who has waited longest, in seconds; 0 if nobody waits."""
        first = next(iter(self._users.values()), None)
        return 0.0 if first is None else self._clock() - first.since

    def is_full(self) -> bool:
        """Whether profile takes in no more until lists are pushed."""
        return self._room_for_runs.locked() or not self._room_for_users.is_set()

    def take_users(self, count: int) -> list[WaitingUser]:
        """Take up to ``count`` users from the front of the queue."""
        taken = [self._users.pop(user) for user in list(islice(self._users, count))]
        self._note_room()
        return taken

    def take_runs(self) -> list[Callable[[], object]]:
        """Take all waiting runs, each as the function that allows its commit; pass them to ``let_go`` later."""
        runs, self._runs = self._runs, []
        return runs

    def let_go(self, runs: Collection[Callable[[], object]]) -> None:
        """Allow the commit of runs whose lists are in Redis."""
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
