"""Users marked: those who wait for a new list."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from itertools import islice

USERS_MARKED = 20_000
"""Users marked from which on profile takes nothing in: a few runs, too, can mark all users that a disk holds."""


class MarkedUsers:
    """The users marked, in the order in which they were first.

    Attributes
    ----------
    room
        Set while fewer than ``USERS_MARKED`` are marked.
    """

    def __init__(self) -> None:
        # Partition of each, and when Kafka took the newest event. Not the row, which may be large: the table has it.
        self._users: dict[str, tuple[int, int]] = {}
        self.room = asyncio.Event()
        self._note_room()

    def __len__(self) -> int:
        return len(self._users)

    def add(self, partition: int, received: Mapping[str, int]) -> None:
        """Mark users of a partition, given when Kafka took the newest event of each; who is marked keeps the place."""
        self._users |= {user: (partition, time_ms) for user, time_ms in received.items()}
        self._note_room()

    def take(self, count: int) -> list[tuple[str, int, int]]:
        """Take so many from the front: each user's name, partition, and when Kafka took the newest event."""
        taken = [(user, *self._users.pop(user)) for user in list(islice(self._users, count))]
        self._note_room()
        return taken

    def keep_only(self, partitions: Collection[int]) -> None:
        """Forget the users of all other partitions."""
        self._users = {user: mark for user, mark in self._users.items() if mark[0] in partitions}
        self._note_room()

    def _note_room(self) -> None:
        if len(self._users) < USERS_MARKED:
            self.room.set()
        else:
            self.room.clear()
