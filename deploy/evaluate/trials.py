"""Trials: the events in which a user took an item, as arrays, and the groups that they are looked at in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from afresh.deploy.evaluate.log import Announcement, Log
from afresh.models.arrays import Integers, Mask
from afresh.state.records import POSITIVE, Interaction

COLD_EVENTS = 5
COLD_USERS, COLD_ITEMS = (
    f"first {COLD_EVENTS} events of a user",
    f"items with fewer than {COLD_EVENTS} events",
)

FIRST_EVENTS = 5
"""So many events of a user in a second domain, or on a second platform, count as the first there."""


@dataclass(frozen=True)
class LogBlock:
    """Interactions taken in together, and the items that become known just before them."""

    announcements: Sequence[Announcement]
    start: int
    interactions: Sequence[Interaction]


def blocks(log: Log, size: int) -> Iterator[LogBlock]:
    """Divide a log into blocks of so many interactions."""
    due = 0
    for start in range(0, len(log.interactions), size):
        interactions = log.interactions[start : start + size]
        first = due
        while due < len(log.announcements) and _is_due(log.announcements[due], interactions[0].time):
            due += 1
        yield LogBlock(log.announcements[first:due], start, interactions)


def _is_due(announcement: Announcement, now: int) -> bool:
    return announcement.time is None or announcement.time <= now


@dataclass(frozen=True)
class Trials:
    """All events in which a user took an item, P of them, in order; the last of them are evaluated.

    Attributes
    ----------
    first
        The first that is evaluated.
    places
        Their places in the log, shape (P,).
    users, items
        Numbers of users and items, in the order in which they first took or were taken, shape (P,).
    user_names, item_names
        What the numbers stand for.
    user_events, item_events
        Trials of the same user, of the same item, that came before, shape (P,).
    domains, platforms
        Of each trial, shape (P,).
    second_domain, second_platform
        Among the first ``FIRST_EVENTS`` of a user in a domain, on a platform, that is not the user's first;
        shape (P,).
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
        """Groups of the trials evaluated, by what divides them: masks of shape (P - first,)."""
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
    """Masks of bands named ``low-high`` or ``low+``."""
    masks: dict[str, Mask] = {}
    for name in names:
        low, _, high = name.rstrip("+").partition("-")
        last = np.iinfo(np.int64).max if name.endswith("+") else int(high or low)
        masks[name] = (counts >= int(low)) & (counts <= last)
    return masks


def trials_of(log: Log, start: float) -> Trials:
    """Make the trials of a log; those from the share ``start`` of them on are evaluated."""
    places = [place for place, each in enumerate(log.interactions) if each.type in POSITIVE]
    taken = [log.interactions[place] for place in places]
    users, user_names = _numbered([each.user for each in taken])
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
    """How often each number came before.

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


def _early_in_another(users: Integers, places: Sequence[str]) -> Mask:
    """Mark the first events of users in places that are not their first."""
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    marked = np.zeros(len(users), np.bool_)
    for trial, (user, place) in enumerate(zip(users.tolist(), places, strict=True)):
        count = counts[user]
        home = next(iter(count), place)
        marked[trial] = place != home and count[place] < FIRST_EVENTS
        count[place] += 1
    return marked
