"""The order in which the player sends: by time, but nobody acts before seeing what they last changed."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable

from afresh.streams.messages import Event


def person(event: Event) -> str:
    """Canonical user of an event, where nobody is linked: platform and user."""
    return f"{event.platform}:{event.user}"


class Window:
    r"""Gives events in time order, holding back those of users whose previous event is unanswered.

    Others may pass the events held back, until ``users`` users are waiting: then nobody may. So an event
    never overtakes one of its own user, and another's only while that user was waiting.

    Parameters
    ----------
    events
        Events in time order.
    users
        How many users may wait at a time; at least 1.

    Examples
    --------
    >>> from afresh.deploy.demo.movielens import parse_events
    >>> rows = ["", "ann\tx\t5\t1", "ann\ty\t5\t2", "bob\tx\t5\t3"]
    >>> window = Window(parse_events("\n".join(rows)), users=2)
    >>> [event.user for event in (window.next(), window.next()) if event], window.next()
    (['ann', 'bob'], None)
    >>> window.release("movielens:ann")
    >>> event = window.next()
    >>> (event.user, event.item) if event else None
    ('ann', 'y')
    """

    def __init__(self, events: Iterable[Event], users: int) -> None:
        self._events = enumerate(events)
        self._users = users
        self._waiting: set[str] = set()
        self._held: defaultdict[str, deque[tuple[int, Event]]] = defaultdict(deque)
        self._free: list[tuple[int, Event]] = []
        self.exhausted = False

    def next(self) -> Event | None:
        """Give the earliest event that may go now, whose user then waits; ``None`` if none may."""
        if self._free:
            return self._start(heapq.heappop(self._free)[1])
        if len(self._waiting) >= self._users:
            return None
        for place, event in self._events:
            if person(event) not in self._waiting:
                return self._start(event)
            self._held[person(event)].append((place, event))
        self.exhausted = not self._waiting
        return None

    def release(self, user: str) -> None:
        """Let a user act again: their event has been answered, or given up."""
        self._waiting.remove(user)
        held = self._held.get(user)
        if held:
            heapq.heappush(self._free, held.popleft())

    def _start(self, event: Event) -> Event:
        self._waiting.add(person(event))
        return event
