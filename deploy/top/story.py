"""What has happened to a user: events, each with its place in the list before it, and lists, each with its moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from afresh.state.lists import ListItem, UserList
from afresh.state.records import POSITIVE, Interaction

KEPT = 500
"""Events that are remembered: no more are between an event and its list."""

FIRST = 10
"""Items of a list that are shown."""


@dataclass(frozen=True)
class TakenIn:
    """An event, and the list before it.

    Attributes
    ----------
    event
        The event.
    before
        The newest list that was seen and does not take the event in; None if none was seen.
    """

    event: Interaction
    before: UserList | None

    @property
    def counts(self) -> bool:
        """Whether the user took the item, so that it could have been a hit."""
        return self.event.type in POSITIVE

    @property
    def rank(self) -> int | None:
        """Place of the item in the list before, from 1; None if it was not there."""
        return None if self.before is None else rank_of(self.event.item, self.before)


@dataclass(frozen=True)
class Ranked:
    """An item at its place in a list, from 1, and at its place in the list before; None if it was not there."""

    item: ListItem
    rank: int
    before: int | None


@dataclass(frozen=True)
class Listed:
    """A new list.

    Attributes
    ----------
    list
        The list.
    before
        The list that was shown before; None for the first.
    milliseconds
        From Kafka's taking the newest event to the list; None if the event was not seen, or an older list takes it in.
    """

    list: UserList
    before: UserList | None
    milliseconds: int | None

    def first(self) -> Iterator[Ranked]:
        """Yield the first items."""
        for rank, item in enumerate(self.list.items[:FIRST], start=1):
            yield Ranked(item, rank, None if self.before is None else rank_of(item.id, self.before))


class Story:
    """What has happened to a user since it is watched.

    Parameters
    ----------
    user
        The canonical user.

    Attributes
    ----------
    user
        The canonical user.
    events
        The newest events, the oldest first.
    listed
        The newest list; None if none was seen.
    """

    def __init__(self, user: str) -> None:
        self.user = user
        self.events: deque[TakenIn] = deque(maxlen=KEPT)
        self.listed: Listed | None = None
        self._seen: UserList | None = None
        self._seen_before: UserList | None = None

    def take(self, events: Sequence[Interaction]) -> list[TakenIn]:
        """Add events in their order; return those that were not known.

        Kafka and Redis are read one after the other, and so a list may be seen before its events. It is not the list
        before them: that is the one seen earlier.
        """
        known = {each.event.event for each in self.events}
        fresh = [each for each in events if each.event not in known]
        newest = None if self._seen is None else self._seen.last_event
        within = next((place for place, each in enumerate(fresh, start=1) if each.event == newest), 0)
        found = [
            TakenIn(each, self._seen_before if place < within else self._seen)
            for place, each in enumerate(fresh)
        ]
        self.events += found
        return found

    def see(self, found: UserList | None) -> Listed | None:
        """Look at the list in Redis; return it if it is another one than before.

        A list whose event was not read yet is returned at the next look, so that its event comes first.
        """
        is_new = found is not None and found != self._seen
        if is_new:
            self._seen_before, self._seen = self._seen, found
        shown = None if self.listed is None else self.listed.list
        if self._seen is None or self._seen == shown or (is_new and self._event_of(self._seen) is None):
            return None
        self.listed = Listed(self._seen, shown, self._milliseconds(self._seen, shown))
        return self.listed

    def _event_of(self, made: UserList) -> Interaction | None:
        return next(
            (each.event for each in reversed(self.events) if each.event.event == made.last_event), None
        )

    def _milliseconds(self, made: UserList, shown: UserList | None) -> int | None:
        event = self._event_of(made)
        # A list is also made anew when items or weights have changed; this says nothing of how long an event took.
        if event is None or shown is None or shown.last_event == made.last_event:
            return None
        return round(datetime.fromisoformat(made.generated_at).timestamp() * 1000) - event.received


def rank_of(item: str, within: UserList) -> int | None:
    """Return the place of an item in a list, from 1; None if it is not there."""
    return next((rank for rank, each in enumerate(within.items, start=1) if each.id == item), None)
