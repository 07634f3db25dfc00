"""recommend: makes new lists for the users marked, and pushes them to Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
from redis.exceptions import RedisError

from afresh.models import scorers
from afresh.models.fusion.fusion import Fusion
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.lists import ListStore
from afresh.state.rows import users as user_rows
from afresh.streams import metrics
from afresh.streams.runs.runner import Run
from afresh.streams.serving import judge
from afresh.streams.serving.judge import Judge, ServedLists
from afresh.streams.serving.lister import Lister, Marked
from afresh.streams.serving.live import Live
from afresh.streams.serving.marked import MarkedUsers
from afresh.streams.serving.policy import DEFAULT_POLICY, Policy
from afresh.streams.serving.sweep import Stamp, Sweep, Users

logger = logging.getLogger(__name__)

BATCH_USERS = 32
"""Lists made at a time, some 50 ms of work. At 300 events/s, on two full cores, an event waited .27 s for its list;
with 8 at a time, and more round trips, .45 s, with 128 as long as with 32."""

RUNS_OPEN = 256
"""Runs whose lists are not pushed yet, at most: when Redis is slow, profile waits instead of piling up work."""

BACKLOG = 2000
"""Records waiting from which on the backlog comes first: a list made on the way would be old when it is read."""

PATIENCE_SECONDS = 30.0
"""Longest time that a backlog keeps lists waiting."""

BACKLOG_POLL_SECONDS = 0.01

POPULAR_SECONDS = 1.0

FIRST_PARTITION = 0
"""Whose owner makes the popular lists, with its weights."""

REFRESH_SECONDS = 1.0
"""Pause of the sweep once no list is out of date."""

REFRESH_USERS = 8
"""Lists made anew at a time: a user who has just done something must not wait for them."""

REFRESH_REST = 2.0
"""How much longer than it worked the sweep rests: lists of users who do nothing get a third of the time at most."""

WATCH_SECONDS = 1.0

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
    users
        The users whose lists are ours to make.
    waiting
        Tells how many records wait for the agents whose work lists show.
    snapshot_minutes
        Least time between two snapshots of the fusion.
    policy
        What lists may hold, and how they are arranged.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        store: ListStore,
        size: int,
        users: Users,
        waiting: Callable[[], int] = lambda: 0,
        snapshot_minutes: float = judge.SNAPSHOT_MINUTES,
        policy: Policy = DEFAULT_POLICY,
    ) -> None:
        self._snapshot_minutes = snapshot_minutes
        self._waiting = waiting
        self._catalogue = catalogue
        self._store = store
        self._lister = Lister(catalogue, size, policy=policy)
        self._served = ServedLists()
        self._fusion: dict[int, Fusion] = {}
        self._live = Live()
        self._marked = MarkedUsers()
        self._users = users
        self._sweep = Sweep(users.names, judge.SERVED_LIMIT)
        self._weights_version: dict[int, int] = {}
        self._popular_of: tuple[int, Stamp] | None = None
        # A list made anew must not come to rest on a newer one of the same user.
        self._serving = asyncio.Lock()
        self._finishing: list[Callable[[], object]] = []
        self._room = asyncio.Semaphore(RUNS_OPEN)
        self._wake = asyncio.Event()

    def judge(self, packed: bytes) -> Judge:
        """Judge for a run of a partition, from what the judge kept there."""
        return Judge(packed, self._served, self._catalogue.known, self._snapshot_minutes)

    async def wait_for_room(self) -> None:
        """Return once there is room to mark more users: before a part of a run, which may mark as many as it likes."""
        await self._marked.room.wait()

    def mark(self, partition: int, packed: bytes, received: Mapping[str, int]) -> None:
        """Mark users for a new list, once their rows are safe.

        Parameters
        ----------
        partition
            Partition that owns the rows.
        packed
            What the judge kept there.
        received
            The users, and when Kafka took the newest event that their rows take in, in ms.
        """
        self._learn_weights(partition, packed)
        self._marked.add(partition, received)
        self._wake.set()

    def _learn_weights(self, partition: int, packed: bytes) -> None:
        before = self._fusion.get(partition)
        kept = judge.unpack(packed)
        self._fusion[partition] = kept.fusion
        self._live.note(partition, kept)
        if before is None or not np.array_equal(before.omega, self._fusion[partition].omega):
            self._weights_version[partition] = self._weights_version.get(partition, 0) + 1

    async def finish(self, run: Run) -> None:
        """Allow a run to be committed once the lists of all users marked so far stand in Redis."""
        await self._room.acquire()
        # The event, not the run: its records may go.
        self._finishing.append(run.event.ack)
        self._wake.set()

    def forget(self, partitions: set[int]) -> None:
        """Keep only what belongs to these partitions."""
        self._marked.keep_only(partitions)
        self._fusion = {p: each for p, each in self._fusion.items() if p in partitions}
        self._live.forget(partitions)
        self._sweep.forget(partitions)

    async def loop(self) -> None:
        """Make and push lists for ever."""
        while True:
            await self._wake.wait()
            await self._work_off_backlog()
            self._wake.clear()
            await self.turn()

    async def _work_off_backlog(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._waiting() > BACKLOG and time.monotonic() < deadline and not self._waited_for():  # noqa: ASYNC110
            await asyncio.sleep(BACKLOG_POLL_SECONDS)

    def _waited_for(self) -> bool:
        """Whether profile takes nothing in until lists are pushed."""
        return self._room.locked() or not self._marked.room.is_set()

    async def turn(self) -> None:
        """Serve every user marked so far, then let go of the runs that waited for it."""
        finishing, self._finishing = self._finishing, []
        # Who is marked again keeps the place, and who is new comes last: so many from the front are all of now.
        left = len(self._marked)
        while left > 0:
            async with self._serving:
                await self._serve(self._as_of_now(self._marked.take(min(left, BATCH_USERS))))
            left -= BATCH_USERS
        for done in finishing:
            done()
            self._room.release()

    def _as_of_now(self, users: Iterable[tuple[str, int, int]]) -> list[Marked]:
        return [
            Marked(user, partition, user_rows.unpack(packed), time_ms)
            for user, partition, time_ms in users
            if (packed := self._users.row(partition, user))
        ]

    async def refresh_loop(self, age_seconds: float) -> None:
        """Make lists anew that are older than so many seconds and out of date, while nobody is marked."""
        while True:
            started = time.perf_counter()
            made = await self.refresh(age_seconds)
            # Some of the time may have gone into waiting for a Redis that was down, which is no reason to rest longer.
            rest = min(REFRESH_REST * (time.perf_counter() - started), REFRESH_SECONDS)
            await asyncio.sleep(rest if made else REFRESH_SECONDS)

    async def refresh(self, age_seconds: float) -> int:
        """Make one batch of outdated lists anew; return how many they were."""
        async with self._serving:
            if self._marked or self._waiting() > BACKLOG:
                return 0
            outdated = self._sweep.outdated(REFRESH_USERS, age_seconds, self._stamps())
            marked = self._as_of_now((user, partition, 0) for user, partition in outdated.items())
            await self._serve(marked, refreshed=True)
            return len(outdated)

    def _stamps(self) -> dict[int, Stamp]:
        """What lists would be made from now, by partition."""
        ours = self._users.partitions()
        for partition in ours - self._fusion.keys():
            self._learn_weights(partition, self._users.stage(partition))
        return {each: (self._catalogue.version, self._weights_version[each]) for each in sorted(ours)}

    async def watch_loop(self) -> None:
        """Make all lists anew whenever Redis has lost what it held."""
        while True:
            await self.watch()
            await asyncio.sleep(WATCH_SECONDS)

    async def watch(self) -> None:
        """Take every list for out of date if Redis has lost what it held."""
        # No list may be under way: written before the loss and noted after it, it would count as standing there.
        async with self._serving:
            try:
                lost = await self._store.has_lost()
            except (RedisError, OSError):
                return
            if lost:
                logger.warning("Redis has lost what it held: all lists are made anew")
                metrics.REDIS_LOSSES.inc()
                self._sweep.start_over()
                self._popular_of = None

    async def _serve(self, marked: Sequence[Marked], *, refreshed: bool = False) -> None:
        started = time.perf_counter()
        # A partition may move away while its users wait: their lists are for its new owner to make.
        marked = [each for each in marked if each.partition in self._fusion]
        if not marked:
            return
        learned = [self._fusion[each.partition] for each in marked]
        stamps = [(self._catalogue.version, self._weights_version[each.partition]) for each in marked]
        made = self._lister.make(marked, learned)
        lists = [each for each, _ in made]
        withheld = await retry(partial(self._store.push, lists))
        for (made_list, served), each, stamp in zip(made, marked, stamps, strict=True):
            self._served.put(made_list.user, served)
            self._sweep.note(each.user, each.partition, stamp)
            if not refreshed:
                metrics.EVENT_TO_REDIS.observe(max(time.time() - each.received / 1000.0, 0.0))
        metrics.LISTS.labels("withheld").inc(withheld)
        metrics.LISTS.labels("pushed").inc(len(lists) - withheld)
        metrics.STAGE_SECONDS.labels("recommend").observe(time.perf_counter() - started)
        metrics.STAGE_RECORDS.labels("recommend").inc(len(lists))

    async def popular_loop(self) -> None:
        """Make the popular lists of all domains whenever items or weights have changed.

        One worker is enough to push them: the one that owns the first partition, whose weights they are made with.
        All others judge by their own what users took of whom nothing was known.
        """
        while True:
            newest = min(self._stamps().items(), default=None)
            if newest not in (None, self._popular_of):
                await self._make_popular(*newest)
            await asyncio.sleep(POPULAR_SECONDS)

    async def _make_popular(self, partition: int, stamp: Stamp) -> None:
        self._popular_of = partition, stamp
        made = self._lister.popular(self._fusion[partition])
        self._served.put_popular(made)
        if partition == FIRST_PARTITION:
            await retry(partial(self._store.push_popular, [each for each, _ in made]))

    def report(self) -> None:
        """Show what is known now as metrics."""
        self._live.report()
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
