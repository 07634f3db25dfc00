"""Reservoir: what users took, kept to train on.

It holds a limited number of users. Once it is full, each new user takes the place of a random one: the newest are all
there, and older ones fade away by chance. A training draws from all of them, and rather from those who took something
lately: so it sees what is new, and does not forget what was.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

import numpy as np

from afresh.models.sequence.pasts import LENGTH, Past, past_of

USERS = 50_000
"""Users kept."""

HALF_LIFE = 10_000
"""Events of others after which a user who took nothing more is drawn half as often."""

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
        self._events = 0
        self._users: list[int] = []
        self._place: dict[int, int] = {}
        self._taken: list[deque[tuple[int, int]]] = []
        self._last: list[int] = []

    def __len__(self) -> int:
        return len(self._users)

    def take(self, user: int, item: int, time: int) -> None:
        """Append an event, at a time in ms, to what its user took."""
        if user not in self._place:
            self._enter(user)
        place = self._place[user]
        self._taken[place].append((item, time))
        self._events += 1
        self._last[place] = self._events

    def _enter(self, user: int) -> None:
        if len(self._users) < self._size:
            place = len(self._users)
            self._users.append(user)
            self._last.append(0)
            self._taken.append(deque(maxlen=KEPT))
        else:
            place = int(self._random.integers(self._size))
            del self._place[self._users[place]]
            self._users[place] = user
            self._taken[place] = deque(maxlen=KEPT)
        self._place[user] = place

    def draw(self, count: int, random: np.random.Generator) -> list[Past]:
        """Draw pieces of up to ``LENGTH`` + 1 items that follow each other, from users by how much and how lately.

        Fewer than two items teach nothing: such users are not drawn. Where nobody has more, nothing is.
        """
        lengths = np.array([len(each) for each in self._taken])
        left = 0.5 ** ((self._events - np.array(self._last)) / HALF_LIFE)
        chances = np.where(lengths > 1, lengths * left, 0)
        if not chances.any():
            return []
        places = random.choice(len(lengths), count, p=chances / chances.sum())
        starts = random.integers(0, np.maximum(lengths[places] - LENGTH, 1))
        return [
            past_of(islice(self._taken[place], start, start + LENGTH + 1))
            for place, start in zip(places.tolist(), starts.tolist(), strict=True)
        ]
