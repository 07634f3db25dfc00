"""The popular lists, for users of whom nothing is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from afresh.state.lists import Due, ListStore
from afresh.streams.serving.lister import Lister
from afresh.streams.serving.push import until_taken
from afresh.streams.serving.served import ServedLists
from afresh.streams.serving.sweep import Stamp
from afresh.streams.serving.weights import NewestWeights
from afresh.streams.topics import FIRST_PARTITION

POPULAR_SECONDS = 1.0

DOMAINS_AT_ONCE = 32
"""Most domains whose lists are made at a time: some 15 ms of work, however many domains there are."""

NEVER = -1
"""Place of a domain whose list was never made, before those of all others."""


class PopularLists:
    """Keeps the popular lists of all domains up to date.

    One worker is enough to push them: the owner of the first partition. All other workers make the same lists, to judge
    what users take of whom nothing was known.

    Parameters
    ----------
    lister
        Makes the lists.
    store
        Store in Redis that lists are served from.
    served
        Remembers the lists for the judges.
    weights
        Weights that lists are made with.
    stamps
        Returns the stamp that a list made now would have, by partition.

    Attributes
    ----------
    due
        The least age of each list that Redis has taken from us, by domain.
    """

    def __init__(
        self,
        lister: Lister,
        store: ListStore,
        served: ServedLists,
        weights: NewestWeights,
        stamps: Callable[[], Mapping[int, Stamp]],
    ) -> None:
        self._lister = lister
        self._store = store
        self._served = served
        self._weights = weights
        self._stamps = stamps
        self._made_from: dict[str, tuple[int, Stamp]] = {}
        self.due: dict[str, Due] = {}

    async def loop(self) -> None:
        """Make popular lists whenever items or weights have changed, forever."""
        while True:
            newest = min(self._stamps().items(), default=None)
            if newest is not None and (names := self._outdated(newest)):
                await self._make(names, *newest)
            await asyncio.sleep(POPULAR_SECONDS)

    def start_over(self) -> None:
        """Make the popular lists anew in the next turns, even if nothing has changed."""
        self._made_from, self.due = {}, {}

    def _outdated(self, newest: tuple[int, Stamp]) -> list[str]:
        """Choose domains whose lists are of before: half of them where items have moved, others made longest ago."""
        domains = self._lister.domains
        made = {name: place for place, name in enumerate(self._made_from)}
        old = [name for name in domains.names if self._made_from.get(name) != newest]
        old.sort(key=lambda name: made.get(name, NEVER))
        moved = [name for name in old if domains.number(name) in domains.changed]
        return list(dict.fromkeys([*moved[: DOMAINS_AT_ONCE // 2], *old]))[:DOMAINS_AT_ONCE]

    async def _make(self, names: Sequence[str], partition: int, stamp: Stamp) -> None:
        for name in names:
            self._made_from.pop(name, None)
            self._made_from[name] = partition, stamp
            self.due.pop(name, None)
        domains = self._lister.domains
        domains.changed.difference_update(map(domains.number, names))
        made = self._lister.popular(self._weights.now, names)
        self._served.remember_popular(made)
        if partition == FIRST_PARTITION:
            lists = [each for each, _ in made]
            await until_taken(partial(self._store.push_popular, lists))
            self.due |= {each.domain: Due(each.since, each.revision, each.generated_at) for each in lists}
