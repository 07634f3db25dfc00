"""The popular lists: what users are shown of whom nothing is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from afresh.state.lists import ListStore
from afresh.streams.serving.lister import Lister
from afresh.streams.serving.push import until_taken
from afresh.streams.serving.served import ServedLists
from afresh.streams.serving.sweep import Stamp
from afresh.streams.serving.weights import Weights

POPULAR_SECONDS = 1.0

FIRST_PARTITION = 0
"""Whose owner pushes the popular lists, with its weights."""


class PopularLists:
    """Keeps the popular lists of all domains up to date.

    One worker is enough to push them: the one that owns the first partition, whose weights they are made with. All
    others judge by their own what users took of whom nothing was known.

    Parameters
    ----------
    lister, store, served
        Who makes lists, where they are served from, and who remembers them.
    weights
        What lists are made with.
    stamps
        Tells what lists would be made from now, by partition.
    """

    def __init__(
        self,
        lister: Lister,
        store: ListStore,
        served: ServedLists,
        weights: Weights,
        stamps: Callable[[], Mapping[int, Stamp]],
    ) -> None:
        self._lister = lister
        self._store = store
        self._served = served
        self._weights = weights
        self._stamps = stamps
        self._made_from: tuple[int, Stamp] | None = None

    async def loop(self) -> None:
        """Make the popular lists whenever items or weights have changed."""
        while True:
            newest = min(self._stamps().items(), default=None)
            if newest not in (None, self._made_from):
                await self._make(*newest)
            await asyncio.sleep(POPULAR_SECONDS)

    def start_over(self) -> None:
        """Make them anew though nothing has changed."""
        self._made_from = None

    async def _make(self, partition: int, stamp: Stamp) -> None:
        self._made_from = partition, stamp
        made = self._lister.popular(self._weights.of(partition))
        self._served.remember_popular(made)
        if partition == FIRST_PARTITION:
            await until_taken(partial(self._store.push_popular, [each for each, _ in made]))
