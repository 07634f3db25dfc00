"""Watches one user at a time: the list they had, and what they took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from afresh.deploy.demo.judge import DEPTH
from afresh.deploy.demo.window import account
from afresh.streams.messages import Event

STAY_SECONDS = 15.0
QUIET_SECONDS = 3.0


@dataclass(frozen=True)
class Scene:
    """A user's list right before an event, and the event.

    Attributes
    ----------
    user
        Canonical user.
    items
        Ids of the first ten items of the list, best first.
    taken, place
        The item taken, and its place in the list (0: not among the ten).
    events, hits
        Number of this user's events that were watched, and how many of them took an item in the list.
    """

    user: str
    items: tuple[str, ...]
    taken: str
    place: int
    events: int
    hits: int


class Spotlight:
    """Watches a user for 15 seconds, or until they have been quiet for 3 seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = self._last = float("-inf")
        self.scene: Scene | None = None

    def saw(self, event: Event, items: Sequence[str], place: int) -> None:
        """Take an event as the new scene if it is of the watched user, or if it is time for another user."""
        now, before = self._clock(), self.scene
        same = before is not None and before.user == account(event)
        if not same and now < min(self._since + STAY_SECONDS, self._last + QUIET_SECONDS):
            return
        events, hits = (before.events, before.hits) if same and before else (0, 0)
        self._since = self._since if same else now
        self._last = now
        self.scene = Scene(
            account(event), tuple(items[:DEPTH]), event.item, place, events + 1, hits + (place > 0)
        )
