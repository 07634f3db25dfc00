"""Makers of events and lists for the tests of ``afresh top``."""

from __future__ import annotations

from afresh.state.lists import ListItem, UserList, timestamp
from afresh.state.records import Interaction

NOW_MS = 1_800_000_000_000


def event(number: int, item: str = "alien", kind: str = "view", user: str = "web:ann") -> Interaction:
    """Return the event e-``number``, which Kafka took as many seconds after ``NOW_MS``."""
    received = NOW_MS + 1000 * number
    return Interaction(0, number, received, f"e-{number}", kind, received, user, item, "web", "films")


def made(revision: int, *items: str, last: int | None = None, after_ms: int = 24) -> UserList:
    """Return a list made some milliseconds after its newest event, e-``last``; this is e-``revision`` unless given."""
    newest = revision if last is None else last
    return UserList(
        since=NOW_MS,
        revision=revision,
        generated_at=timestamp((NOW_MS + 1000 * newest + after_ms) / 1000),
        user="web:ann",
        last_event=f"e-{newest}",
        model="m",
        items=[ListItem(name, 2.0 - place / 8, {}) for place, name in enumerate(items)],
        weights=7,
    )
