"""What a demo plays: MovieLens, or films on two platforms, where some people go on with a second account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from afresh.deploy.datasets import movielens, sets
from afresh.deploy.demo.window import account
from afresh.state.errors import AfreshError
from afresh.streams.messages import Event, Item

ONE_IN = 10
"""One in so many of those who have enough events goes on with a second account."""

ENOUGH_EVENTS = 12
"""Events of somebody who goes on with a second account in the middle of them."""

EVENTS_BEFORE_LINK = 3
"""Events with the second account before somebody logs in there and it is linked with the first one."""

Accounts = tuple[str, str]
"""The two accounts of a person, the older first."""


@dataclass(frozen=True)
class DemoData:
    """Items and events to play.

    Attributes
    ----------
    title
        Name of the data, for people.
    items
        The catalogue.
    events
        The events, oldest first.
    links
        By the id of an event: the accounts that are linked once its list has been seen.
    """

    title: str
    items: list[Item]
    events: list[Event]
    links: Mapping[str, Accounts] = field(default_factory=dict)


def load(name: str, first: int | None, *, second_accounts: bool) -> DemoData:
    """Load the data of a demo.

    Parameters
    ----------
    name
        One of ``DATA``.
    first
        Number of events to play, the first ones; None for all.
    second_accounts
        Whether people may go on with a second account.

    Raises
    ------
    AfreshError
        If no data has this name, or it cannot be loaded.
    """
    if name not in DATA:
        raise AfreshError(f"the demo has no data called {name!r}; choose one of {', '.join(DATA)}")
    data = DATA[name]()
    events = data.events[:first]
    if not second_accounts:
        return DemoData(data.title, data.items, events)
    return DemoData(data.title, data.items, *with_second_accounts(events))


def _ml_100k() -> DemoData:
    data = movielens.load()
    return DemoData("MovieLens 100K", data.items, data.events)


def _films() -> DemoData:
    """Load ``films`` from the first event on with which both platforms are there."""
    lines = sets.load("films")
    events = [msgspec.json.decode(line, type=Event) for line in lines.events]
    items = [msgspec.json.decode(line, type=Item) for line in lines.items]
    platforms = [each.platform for each in events]
    both = max(platforms.index(name) for name in set(platforms))
    return DemoData("films on two platforms", items, events[both:])


DATA: dict[str, Callable[[], DemoData]] = {"ml-100k": _ml_100k, "films": _films}
"""The data of a demo, by name."""


def with_second_accounts(events: Sequence[Event]) -> tuple[list[Event], dict[str, Accounts]]:
    """Let some people go on with a second account on another platform; nobody does where there is only one.

    Nobody in ``films`` is known to be on both platforms, so that the demo makes such people up. What they take stays
    the same.

    Returns
    -------
    The events, and the links by the event after which they are told.
    """
    platforms = sorted({each.platform for each in events})
    count, moving = Counter(map(account, events)), set[str]()
    enough = [name for name in count if count[name] >= ENOUGH_EVENTS]
    if len(platforms) > 1:
        moving.update(enough[::ONE_IN])
    so_far, played, links = Counter[str](), list[Event](), dict[str, Accounts]()
    for event in events:
        name = account(event)
        there = so_far[name] - count[name] // 2
        so_far[name] += 1
        if name not in moving or there < 0:
            played.append(event)
            continue
        other = platforms[platforms.index(event.platform) - 1]
        played.append(replace(event, platform=other))
        if there == EVENTS_BEFORE_LINK - 1:
            links[event.id] = name, account(played[-1])
    return played, links
