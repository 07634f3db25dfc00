"""Trials: the events in which a user took an item, as arrays, and the groups in which figures are reported."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from afresh.deploy.evaluate.log import Announcement, Log
from afresh.deploy.evaluate.people import KnownLink, canonical_users
from afresh.models.arrays import Integers, Mask
from afresh.state.records import POSITIVE, Interaction

COLD_EVENTS = 5
COLD_USERS, COLD_ITEMS = (
    f"first {COLD_EVENTS} events of a user",
    f"items with fewer than {COLD_EVENTS} events",
)

FIRST_EVENTS = 5
"""Events of a user in a second domain, or on a second platform, that count as the user's first ones there."""

Known = TypeVar("Known", Announcement, KnownLink)


@dataclass(frozen=True)
class LogBlock:
    """Interactions taken in together, and the items and links that become known just before them.

    Attributes
    ----------
    announcements, links
        The items and links that become known.
    start
        Position of the first interaction in the log.
    interactions
        The interactions, in the order of the log.
    """

    announcements: Sequence[Announcement]
    links: Sequence[KnownLink]
    start: int
    interactions: Sequence[Interaction]


def blocks(log: Log, size: int) -> Iterator[LogBlock]:
    """Divide a log into blocks of ``size`` interactions.

    The last block may be shorter, and so is one in which a link becomes known: a link counts from the next event on.
    """
    announcements, links = deque(log.announcements), deque(log.links)
    start = 0
    while start < len(log.interactions):
        now = log.interactions[start].time
        known, linked = list(_due(announcements, now)), list(_due(links, now))
        interactions = log.interactions[start : start + size]
        if links:
            interactions = interactions[: _before_link(interactions, links[0])]
        yield LogBlock(known, linked, start, interactions)
        start += len(interactions)


def _before_link(interactions: Sequence[Interaction], link: KnownLink) -> int:
    """Count the interactions before a link becomes known; it is not known at the first one."""
    return next(
        (place for place, each in enumerate(interactions) if each.time >= link.time), len(interactions)
    )


def _due(waiting: deque[Known], now: int) -> Iterator[Known]:
    """Take out what becomes known by a time, in ms."""
    while waiting and (waiting[0].time is None or waiting[0].time <= now):
        yield waiting.popleft()


@dataclass(frozen=True)
class Trials:
    """All P events in which a user took an item, in the order of the log. The trials from ``first`` on are evaluated.

    Attributes
    ----------
    first
        Number of the first trial that is evaluated.
    places
        Position of each trial in the log, shape (P,).
    users, items
        Number of each trial's user and item, shape (P,). They are numbered in the order of their first trial. Accounts
        that are linked at the end of the log are one user from its beginning on.
    user_names, item_names
        Names of the users and items, by number.
    user_events, item_events
        How many earlier trials have the same user, or the same item; shape (P,).
    domains, platforms
        Domain and platform of each trial, shape (P,).
    second_domain, second_platform
        Whether a trial is one of the user's first ``FIRST_EVENTS`` in a domain, or on a platform, that is not the
        user's first one; shape (P,).
    """

    first: int
    places: Integers
    users: Integers
    items: Integers
    user_names: list[str]
    item_names: list[str]
    user_events: Integers
    item_events: Integers
    domains: npt.NDArray[np.str_]
    platforms: npt.NDArray[np.str_]
    second_domain: Mask
    second_platform: Mask

    def __len__(self) -> int:
        return len(self.places)

    def slices(self) -> dict[str, dict[str, Mask]]:
        """Return the slices of the evaluated trials, by criterion and name: masks of shape (P - first,)."""
        of = slice(self.first, None)
        groups = {
            "events of the user so far": _bands(self.user_events[of], ("0", "1-4", "5-19", "20+")),
            "events of the item so far": _bands(self.item_events[of], ("0", "1-5", "6-20", "21+")),
            "domain": {name: self.domains[of] == name for name in np.unique(self.domains[of]).tolist()},
            "platform": {name: self.platforms[of] == name for name in np.unique(self.platforms[of]).tolist()},
        }
        groups["cold"] = {
            COLD_USERS: self.user_events[of] < COLD_EVENTS,
            COLD_ITEMS: self.item_events[of] < COLD_EVENTS,
        }
        firsts = {"domain": self.second_domain[of], "platform": self.second_platform[of]}
        groups["first events in a second"] = firsts
        return groups


def _bands(counts: Integers, names: Sequence[str]) -> dict[str, Mask]:
    """Return a mask for each band of counts; a band is named ``low-high``, ``low+``, or by a single count."""
    masks: dict[str, Mask] = {}
    for name in names:
        low, _, high = name.rstrip("+").partition("-")
        last = np.iinfo(np.int64).max if name.endswith("+") else int(high or low)
        masks[name] = (counts >= int(low)) & (counts <= last)
    return masks


def trials_of(log: Log, start: float) -> Trials:
    """Make the trials of a log; ``start`` is the share of them that comes before the first evaluated one."""
    places = [place for place, each in enumerate(log.interactions) if each.type in POSITIVE]
    taken = [log.interactions[place] for place in places]
    users, user_names = _numbered(list(map(canonical_users(log.links), (each.user for each in taken))))
    items, item_names = _numbered([each.item for each in taken])
    return Trials(
        first=int(len(places) * start),
        places=np.array(places, np.int64),
        users=users,
        items=items,
        user_names=user_names,
        item_names=item_names,
        user_events=_before(users),
        item_events=_before(items),
        domains=np.array([each.domain for each in taken]),
        platforms=np.array([each.platform for each in taken]),
        second_domain=_early_in_another(users, [each.domain for each in taken]),
        second_platform=_early_in_another(users, [each.platform for each in taken]),
    )


def _numbered(names: Sequence[str]) -> tuple[Integers, list[str]]:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64), list(numbers)


def _before(numbers: Integers) -> Integers:
    """Count how often each number came before.

    Examples
    --------
    >>> _before(np.array([3, 5, 3, 3])).tolist()
    [0, 0, 1, 2]
    """
    count: Counter[int] = Counter()
    before = np.empty(len(numbers), np.int64)
    for place, number in enumerate(numbers.tolist()):
        before[place] = count[number]
        count[number] += 1
    return before


def _early_in_another(users: Integers, names: Sequence[str]) -> Mask:
    """Tell which trials are a user's first ones in a domain or platform that is not the user's first.

    ``names`` are the domains, or the platforms, of the trials.
    """
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    early = np.zeros(len(users), np.bool_)
    for trial, (user, name) in enumerate(zip(users.tolist(), names, strict=True)):
        count = counts[user]
        home = next(iter(count), name)
        early[trial] = name != home and count[name] < FIRST_EVENTS
        count[name] += 1
    return early
