"""Links accounts while the player plays, and watches until both have the same list."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from afresh.deploy.demo.data import Accounts
from afresh.deploy.demo.judge import DEPTH
from afresh.deploy.demo.lists import ReadList, Shop

PATIENCE_SECONDS = 10.0

SendLink = Callable[[str, str], None]
"""Sends the link of two accounts."""


@dataclass(frozen=True)
class Meeting:
    """The lists of two accounts before and after a link.

    Attributes
    ----------
    accounts
        The two accounts.
    before
        Ids of the first ten items of each account's list before the link, best first.
    after
        Ids of those of both after it.
    seconds
        Time from the link until both had the same list.
    """

    accounts: Accounts
    before: tuple[tuple[str, ...], tuple[str, ...]]
    after: tuple[str, ...]
    seconds: float


@dataclass
class LinkNotes:
    """What came of the links.

    Attributes
    ----------
    seconds
        Time of each link until both accounts had the same list.
    late
        Number of links after which both did not have the same list within ``PATIENCE_SECONDS``.
    meeting
        The newest link whose accounts have the same list; None before the first.
    """

    seconds: list[float] = field(default_factory=list)
    late: int = 0
    meeting: Meeting | None = None


class Linker:
    """Links accounts when it is time.

    Parameters
    ----------
    links
        The accounts to link, by the id of the event whose list must have been seen first.
    shop
        Gives the lists.
    send
        Sends a link to Kafka.
    notes
        Where it notes what came of them.
    clock
        Monotonic clock, in seconds.
    """

    def __init__(
        self,
        links: Mapping[str, Accounts],
        shop: Shop,
        send: SendLink,
        notes: LinkNotes,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._links = links
        self._shop = shop
        self._send = send
        self._notes = notes
        self._clock = clock
        self._waiting: dict[Accounts, tuple[float, tuple[tuple[str, ...], tuple[str, ...]]]] = {}

    @property
    def waits(self) -> bool:
        """Whether the accounts of a link do not have the same list yet."""
        return bool(self._waiting)

    def answered(self, event: str) -> None:
        """Link two accounts if the list after this event was the one to wait for."""
        if (accounts := self._links.get(event)) is not None:
            one, other = self._shop.of_users(accounts)
            self._waiting[accounts] = self._clock(), (_head(one), _head(other))
            self._send(*accounts)

    def look(self) -> None:
        """Look whether the accounts of links have the same list by now."""
        found = self._shop.of_users([name for accounts in self._waiting for name in accounts])
        now = self._clock()
        for accounts, one, other in zip(list(self._waiting), found[::2], found[1::2], strict=True):
            linked, before = self._waiting[accounts]
            if one is not None and one == other:
                self._notes.seconds.append(now - linked)
                self._notes.meeting = Meeting(accounts, before, _head(one), now - linked)
            elif now - linked >= PATIENCE_SECONDS:
                self._notes.late += 1
            else:
                continue
            del self._waiting[accounts]


def _head(served: ReadList | None) -> tuple[str, ...]:
    return tuple(served.ids[:DEPTH]) if served else ()
