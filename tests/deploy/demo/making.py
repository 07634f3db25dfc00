"""Makes small events and items for the tests of the demo."""

from __future__ import annotations

from afresh.streams.messages import Event, Item


def event(number: int, user: str, item: str = "a", platform: str = "web") -> Event:
    return Event(
        id=f"e{number}", type="rating", time=number, user=user, item=item, platform=platform, domain="films"
    )


def events(users: str) -> list[Event]:
    """One event a letter, each letter a user, in time order."""
    return [event(number, user) for number, user in enumerate(users)]


def item(name: str) -> Item:
    return Item(id=name, domain="films", title=f"Film {name}")
