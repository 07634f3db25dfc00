"""Reservoir: what users took, kept to train on.

It holds a limited number of users. Once it is full, each new user takes the place of a random one: the newest are all
there, and older ones fade away by chance. So a training sees what is new, and does not forget what was.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

import numpy as np

from afresh.models.sequence.pasts import LENGTH, Past, past_of

USERS = 50_000
"""Users kept."""

KEPT = 1000
"""Newest events kept of a user."""


class Reservoir:
    """The users that a training draws from.

    Parameters
    ----------
    seed
        Decides who leaves.
    users
        Users kept.
    """

    def __init__(self, seed: int, users: int = USERS) -> None:
        self._random = np.random.default_rng(seed)
        self._size = users
        self._users: list[int] = []
        self._place: dict[int, int] = {}
        self._taken: list[deque[tuple[int, int]]] = []

    def __len__(self) -> int:
        return len(self._users)

    def take(self, user: int, item: int, time: int) -> None:
        """Append an event, at a time in ms, to what its user took."""
        if user not in self._place:
            self._enter(user)
        self._taken[self._place[user]].append((item, time))

    def _enter(self, user: int) -> None:
        if len(self._users) < self._size:
            place = len(self._users)
            self._users.append(user)
            self._taken.append(deque(maxlen=KEPT))
        else:
            place = int(self._random.integers(self._size))
            del self._place[self._users[place]]
            self._users[place] = user
            self._taken[place] = deque(maxlen=KEPT)
        self._place[user] = place

    def draw(self, count: int, random: np.random.Generator) -> list[Past]:
        """Draw pieces of up to ``LENGTH`` + 1 items, one after the other in time, from users by how much they took.

        Fewer than two items teach nothing: such users are not drawn. Where nobody has more, nothing is.
        """
        lengths = np.array([len(each) for each in self._taken])
        chances = np.where(lengths > 1, lengths, 0)
        if not chances.any():
            return []
        places = random.choice(len(lengths), count, p=chances / chances.sum())
        starts = random.integers(0, np.maximum(lengths[places] - LENGTH, 1))
        return [
            past_of(islice(self._taken[place], start, start + LENGTH + 1))
            for place, start in zip(places.tolist(), starts.tolist(), strict=True)
        ]
