"""Refresh: looks whether the encoders that are wanted have read all texts, and asks for what is missing.

Each worker goes through the content rows of its partitions: at its start, when other encoders are wanted, and then from
time to time. What is missing is asked for in a topic of its own, popular items first, and only so much at a time that
new texts never wait behind the whole catalogue. What is missing follows from the rows alone: where a worker dies, the
next owner of its partitions goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

import numpy as np

from afresh.models.arrays import NONE, Reals
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.keys import keys_of
from afresh.streams.runs.run import Assignment, RunDroppedError
from afresh.streams.stages.content import Content
from afresh.streams.stages.shared import Wanted

WINDOW = 256
"""Texts that a worker has asked for and that no encoder has answered yet, at most."""

ANSWER_SECONDS = 60.0
"""A text is not waited for any more when others that were asked for so much later are answered."""

ROWS_AT_ONCE = 64
"""Rows that are looked at before the event loop gets its turn: a millisecond of work."""

REST = 4.0
"""Rest after each look at rows, as a multiple of its time: a worker serves lists meanwhile."""

POLL_SECONDS = 0.2
"""Time between two looks for answers."""

Place = tuple[Assignment, bytes]
"""A partition as it was assigned, and the key of a row in it."""


class Refresh:
    """Asks for the texts that encoders have not read.

    Parameters
    ----------
    content
        The stage that keeps the rows.
    catalogue
        Knows which items are popular.
    owned
        Returns the partitions whose rows are ours.
    wanted
        Returns which encoders are to read all texts.
    seconds
        Time between two rounds.
    """

    def __init__(
        self,
        content: Content,
        catalogue: Catalogue,
        owned: Callable[[], Collection[Assignment]],
        wanted: Callable[[], Wanted],
        seconds: float,
    ) -> None:
        self._content = content
        self._catalogue = catalogue
        self._owned = owned
        self._wanted = wanted
        self._seconds = seconds
        self._asked: dict[Place, float] = {}
        self._answered = 0.0

    async def run(self) -> None:
        """Go round again and again, forever."""
        while True:
            begun, due = self._now(), time.monotonic() + self._seconds
            with suppress(RunDroppedError):
                await self.round()
            while self._now() == begun and time.monotonic() < due:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(POLL_SECONDS)

    def _now(self) -> tuple[Wanted, frozenset[Assignment]]:
        """Return what a round is for; once it is another one, a new round begins."""
        return self._wanted(), frozenset(self._owned())

    async def round(self) -> None:
        """Ask for all that is missing, until it is answered, or something else is wanted."""
        begun = self._now()
        wanted = self._wanted()
        self._asked.clear()
        if not wanted.versions:
            return
        waiting = iter(await self._missing(wanted))
        while self._now() == begun:
            self._take_answers(wanted)
            some = list(islice(waiting, WINDOW - len(self._asked)))
            if not some and not self._asked:
                return
            await self._ask(some, wanted)
            await asyncio.sleep(POLL_SECONDS)

    async def _missing(self, wanted: Wanted) -> list[Place]:
        """Return the rows that an encoder has not read, or that must be others; popular ones first."""
        places: list[Place] = []
        for some in _portions(self._places()):
            started = time.perf_counter()
            places += [place for place in some if self._content.lacks(place[0].partition, place[1], wanted)]
            await asyncio.sleep(REST * (time.perf_counter() - started))
        order = np.argsort(-self._popularity([key for _, key in places]), kind="stable")
        return [places[number] for number in order.tolist()]

    def _places(self) -> Iterator[Place]:
        for owned in sorted(self._owned(), key=lambda each: each.partition):
            for key in self._content.keys(owned.partition):
                yield owned, key

    def _popularity(self, keys: Sequence[bytes]) -> Reals:
        found = self._catalogue.indices_of(keys_of(key.decode() for key in keys))
        counts = np.zeros(len(keys))
        known = found != NONE
        counts[known] = self._catalogue.popularity(found[known])
        return counts

    async def _ask(self, places: Sequence[Place], wanted: Wanted) -> None:
        by_partition: dict[Assignment, list[bytes]] = {}
        for owned, key in places:
            by_partition.setdefault(owned, []).append(key)
        for owned, keys in by_partition.items():
            for key in await self._content.ask_again(owned, keys, wanted):
                self._asked[owned, key] = time.monotonic()

    def _take_answers(self, wanted: Wanted) -> None:
        """Wait no more for texts that are answered, nor for those whose answers would have come by now."""
        now = time.monotonic()
        for (owned, key), asked in list(self._asked.items()):
            if self._content.is_answered(owned.partition, key, wanted):
                self._answered = now
                del self._asked[owned, key]
            elif self._answered - asked > ANSWER_SECONDS or now - max(asked, self._answered) > self._seconds:
                del self._asked[owned, key]


def _portions(places: Iterable[Place]) -> Iterator[list[Place]]:
    left = iter(places)
    while some := list(islice(left, ROWS_AT_ONCE)):
        yield some
