"""recommend: makes new lists for the users marked, and pushes them to Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import numpy as np
from redis.exceptions import RedisError

from models import scorers
from models.fusion import Fusion
from state.catalogue import Catalogue
from state.lists import ListStore
from streams import judge, metrics
from streams.judge import Judge, ServedLists, Verdicts
from streams.lister import Lister, Marked
from streams.runs import Run

logger = logging.getLogger(__name__)

BATCH_USERS = 32
"""Lists made at a time: more would hold up the other agents for longer than a few milliseconds."""

RUNS_OPEN = 256
"""Runs whose lists are not pushed yet, at most: when Redis is slow, profile waits instead of piling up work."""

BACKLOG = 2000
"""Records waiting from which on the backlog comes first: a list made on the way would be old when it is read."""

PATIENCE_SECONDS = 30.0
"""Longest time that a backlog keeps lists waiting."""

BACKLOG_POLL_SECONDS = 0.01

POPULAR_SECONDS = 1.0

REFRESH_SECONDS = 1.0
"""Pause between two batches of lists made anew."""

RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0)


class Recommender:
    """Makes lists, one a user for each turn of its loop, from the newest state.

    Parameters
    ----------
    catalogue
        What to choose from.
    store
        Where lists are served from.
    size
        Items in a list.
    waiting
        Tells how many records wait for the agents whose work lists show.
    """

    def __init__(
        self, catalogue: Catalogue, store: ListStore, size: int, waiting: Callable[[], int] = lambda: 0
    ) -> None:
        self._waiting = waiting
        self._catalogue = catalogue
        self._store = store
        self._lister = Lister(catalogue, size)
        self._served = ServedLists()
        self._fusion: dict[int, Fusion] = {}
        self._verdicts: dict[int, Verdicts] = {}
        self._marked: dict[str, Marked] = {}
        self._made: OrderedDict[str, tuple[float, int, Marked]] = OrderedDict()
        # A list made anew must not come to rest on a newer one of the same user.
        self._serving = asyncio.Lock()
        self._finishing: list[Callable[[], object]] = []
        self._room = asyncio.Semaphore(RUNS_OPEN)
        self._wake = asyncio.Event()

    def judge(self, packed: bytes) -> Judge:
        """Judge for a run of a partition, from what the judge kept there."""
        return Judge(packed, self._served, self._catalogue.row_of)

    def mark(self, partition: int, packed: bytes, marked: Mapping[str, Marked]) -> None:
        """Mark users for a new list, once their rows are safe; ``packed`` is what the judge kept."""
        self._fusion[partition], self._verdicts[partition] = judge.unpack(packed)
        self._marked.update(marked)
        self._wake.set()

    async def finish(self, run: Run) -> None:
        """Allow a run to be committed once the lists of all users marked so far stand in Redis."""
        await self._room.acquire()
        # The event, not the run: its records may go.
        self._finishing.append(run.event.ack)
        self._wake.set()

    def forget(self, partitions: set[int]) -> None:
        """Keep only what belongs to these partitions."""
        self._fusion = {p: each for p, each in self._fusion.items() if p in partitions}
        self._verdicts = {p: each for p, each in self._verdicts.items() if p in partitions}
        kept = (item for item in self._made.items() if item[1][2].partition in partitions)
        self._made = OrderedDict(kept)

    async def loop(self) -> None:
        """Make and push lists for ever."""
        while True:
            await self._wake.wait()
            await self._work_off_backlog()
            self._wake.clear()
            await self.turn()

    async def _work_off_backlog(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._waiting() > BACKLOG and time.monotonic() < deadline and not self._room.locked():  # noqa: ASYNC110
            await asyncio.sleep(BACKLOG_POLL_SECONDS)

    async def turn(self) -> None:
        """Serve every user marked so far, then let go of the runs that waited for it."""
        marked, self._marked = list(self._marked.values()), {}
        finishing, self._finishing = self._finishing, []
        for start in range(0, len(marked), BATCH_USERS):
            async with self._serving:
                await self._serve(marked[start : start + BATCH_USERS])
        for done in finishing:
            done()
            self._room.release()

    async def refresh_loop(self, age_seconds: float) -> None:
        """Make lists anew that are older than so many seconds and than the Catalogue, while nobody is marked."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self.refresh(age_seconds)

    async def refresh(self, age_seconds: float) -> None:
        """Make one batch of outdated lists anew."""
        async with self._serving:
            if not self._marked and self._waiting() <= BACKLOG:
                await self._serve(self._outdated(time.monotonic() - age_seconds), refreshed=True)

    def _outdated(self, before: float) -> list[Marked]:
        """Users whose list was made before a time, and before the Catalogue changed; oldest lists first."""
        outdated: list[Marked] = []
        for made_at, version, marked in self._made.values():
            if made_at > before or len(outdated) == BATCH_USERS:
                break
            if version != self._catalogue.version:
                outdated.append(marked)
        return outdated

    def _note_made(self, marked: Marked, version: int) -> None:
        self._made[marked.user] = (time.monotonic(), version, marked)
        self._made.move_to_end(marked.user)
        if len(self._made) > judge.SERVED_LIMIT:
            self._made.popitem(last=False)

    async def _serve(self, marked: Sequence[Marked], *, refreshed: bool = False) -> None:
        started = time.perf_counter()
        # A partition may move away while its users wait: their lists are for its new owner to make.
        marked = [each for each in marked if each.partition in self._fusion]
        if not marked:
            return
        learned = [self._fusion[each.partition] for each in marked]
        version = self._catalogue.version
        made = self._lister.make(marked, learned)
        lists = [each for each, _ in made]
        withheld = await retry(partial(self._store.push, lists))
        for (made_list, served), each in zip(made, marked, strict=True):
            self._served.put(made_list.user, served)
            self._note_made(each, version)
            if not refreshed:
                metrics.EVENT_TO_REDIS.observe(max(time.time() - each.received / 1000.0, 0.0))
        metrics.LISTS.labels("withheld").inc(withheld)
        metrics.LISTS.labels("pushed").inc(len(lists) - withheld)
        metrics.STAGE_SECONDS.labels("recommend").observe(time.perf_counter() - started)
        metrics.STAGE_RECORDS.labels("recommend").inc(len(lists))

    async def popular_loop(self, ours: Callable[[], bool]) -> None:
        """Push the popular lists of all domains whenever the Catalogue has changed, while they are ours to push."""
        pushed = -1
        while True:
            if ours() and self._catalogue.version != pushed:
                pushed = self._catalogue.version
                await retry(partial(self._store.push_popular, self._lister.popular()))
            await asyncio.sleep(POPULAR_SECONDS)

    def report(self) -> None:
        """Show what is known now as metrics."""
        judge.report(list(self._verdicts.values()))
        metrics.CATALOGUE_ITEMS.set(int(self._catalogue.available.sum()))
        metrics.CATALOGUE_EMBEDDED.set(self._catalogue.embedded)
        if self._fusion:
            means = np.mean([each.by_scorer() for each in self._fusion.values()], axis=0)
            for name, weight in zip(scorers.NAMES, means.tolist(), strict=True):
                metrics.FUSION_WEIGHT.labels(name).set(weight)


async def retry(write: Callable[[], Awaitable[int]]) -> int:
    """Write to Redis until it takes it, however long that lasts."""
    attempt = 0
    while True:
        try:
            return await write()
        except (RedisError, OSError) as error:
            wait = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
            metrics.REDIS_RETRIES.inc()
            logger.warning("Redis did not take the lists (%s); again in %s s", error, wait)
            await asyncio.sleep(wait)
            attempt += 1
