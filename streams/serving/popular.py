"""The popular lists, for users of whom nothing is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from afresh.state.lists import Due, ListStore
from afresh.streams.serving.lister import Lister
from afresh.streams.serving.push import until_taken
from afresh.streams.serving.served import ServedLists
from afresh.streams.serving.sweep import Stamp
from afresh.streams.serving.weights import NewestWeights
from afresh.streams.topics import FIRST_PARTITION

POPULAR_SECONDS = 1.0


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
        self._made_from: tuple[int, Stamp] | None = None
        self.due: dict[str, Due] = {}

    async def loop(self) -> None:
        """Make the popular lists whenever items or weights have changed, forever."""
        while True:
            newest = min(self._stamps().items(), default=None)
            if newest not in (None, self._made_from):
                await self._make(*newest)
            await asyncio.sleep(POPULAR_SECONDS)

    def start_over(self) -> None:
        """Make the popular lists anew at the next turn, even if nothing has changed."""
        self._made_from, self.due = None, {}

    async def _make(self, partition: int, stamp: Stamp) -> None:
        self._made_from, self.due = (partition, stamp), {}
        made = self._lister.popular(self._weights.now)
        self._served.remember_popular(made)
        if partition == FIRST_PARTITION:
            lists = [each for each, _ in made]
            await until_taken(partial(self._store.push_popular, lists))
            self.due = {each.domain: Due(each.since, each.revision, each.generated_at) for each in lists}
