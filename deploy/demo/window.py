"""Orders the events of the player: by time, but no user acts before they have seen the effect of their last event."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable

from afresh.streams.messages import Event


def account(event: Event) -> str:
    """Return the account of an event: platform and user."""
    return f"{event.platform}:{event.user}"


class Window:
    r"""Gives events in time order, but holds back events of users whose previous event is unanswered.

    Events of other users may pass the events held back, until ``users`` users are waiting; then no event may go.
    So an event never overtakes an event of its own user. It overtakes another user's event only while that user
    is waiting.

    Parameters
    ----------
    events
        Events in time order.
    users
        How many users may wait at the same time; at least 1.

    Examples
    --------
    >>> from afresh.deploy.datasets.movielens import parse_events
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
        """Return the earliest event that may go now, and let its user wait; ``None`` if no event may go."""
        if self._free:
            return self._start(heapq.heappop(self._free)[1])
        if len(self._waiting) >= self._users:
            return None
        for number, event in self._events:
            if account(event) not in self._waiting:
                return self._start(event)
            self._held[account(event)].append((number, event))
        self.exhausted = not self._waiting
        return None

    def release(self, user: str) -> None:
        """Let a user act again, once their event has been answered or given up."""
        self._waiting.remove(user)
        held = self._held.get(user)
        if held:
            heapq.heappush(self._free, held.popleft())

    def _start(self, event: Event) -> Event:
        self._waiting.add(account(event))
        return event
