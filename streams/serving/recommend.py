"""recommend: makes new lists for the users who wait, and pushes them to Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from redis.exceptions import RedisError

from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.judged.kept import Kept
from afresh.state.lists import ListStore
from afresh.state.rows import users as user_rows
from afresh.streams import metrics
from afresh.streams.serving.judge import SNAPSHOT_MINUTES
from afresh.streams.serving.judges import Judges
from afresh.streams.serving.lister import Lister, Recipient
from afresh.streams.serving.popular import PopularLists
from afresh.streams.serving.push import until_taken
from afresh.streams.serving.requests import Requests, WaitingUser
from afresh.streams.serving.served import SERVED_LIMIT, ServedLists
from afresh.streams.serving.sweep import Stamp, Sweep
from afresh.streams.serving.users import Users
from afresh.streams.serving.weights import Weights

logger = logging.getLogger(__name__)

BATCH_USERS = 32
"""Lists made at a time, some 50 ms of work. At 300 events/s, on two full cores, an event waited .27 s for its list;
with 8 at a time, and more round trips, .45 s, with 128 as long as with 32."""

BACKLOG = 2000
"""Records waiting from which on the backlog comes first: a list made on the way would be old when it is read."""

PATIENCE_SECONDS = 30.0
"""Longest time that a backlog keeps lists waiting."""

BACKLOG_POLL_SECONDS = 0.01

REFRESH_SECONDS = 1.0
"""Pause of the sweep once no list is out of date."""

REFRESH_USERS = 8
"""Lists made anew at a time: a user who has just done something must not wait for them."""

REFRESH_REST = 2.0
"""How much longer than it worked the sweep rests: lists of users who do nothing get a third of the time at most."""

WATCH_SECONDS = 1.0


class Recommender:
    """Makes lists, one a user for each turn of its loop, from the newest state.

    Parameters
    ----------
    catalogue
        What to choose from.
    store
        Where lists are served from.
    lister
        Who makes them.
    users
        The users whose lists are ours to make.
    waiting
        Tells how many records wait for the agents whose work lists show.
    snapshot_minutes
        Least time between two snapshots of the fusion.

    Attributes
    ----------
    requests
        Who waits for a list.
    judges
        What judges the lists, and learns the weights.
    popular
        The lists of those of whom nothing is known.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        store: ListStore,
        lister: Lister,
        users: Users,
        waiting: Callable[[], int] = lambda: 0,
        snapshot_minutes: float = SNAPSHOT_MINUTES,
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._lister = lister
        self._users = users
        self._waiting = waiting
        self._served = ServedLists()
        self._weights = Weights()
        self._sweep = Sweep(users.names, SERVED_LIMIT)
        self.requests = Requests()
        self.judges = Judges(users, self._served, catalogue.known, self._weights, snapshot_minutes)
        self.popular = PopularLists(lister, store, self._served, self._weights, self._stamps)
        # A list made anew must not come to rest on a newer one of the same user.
        self._serving = asyncio.Lock()

    def request(self, partition: int, kept: Kept, received: Mapping[str, int]) -> None:
        """Ask for new lists of users, once their rows are safe.

        Parameters
        ----------
        partition
            Partition that owns the rows.
        kept
            What its judge keeps from now on.
        received
            The users, and when Kafka took the newest event that their rows take in, in ms.
        """
        self.judges.keep(partition, kept)
        self.requests.add_users(partition, received)

    def keep_only(self, partitions: Collection[int]) -> None:
        """Forget what belongs to all other partitions."""
        self.requests.keep_only(partitions)
        self.judges.keep_only(partitions)
        self._sweep.keep_only(partitions)

    async def loop(self) -> None:
        """Make and push lists for ever."""
        while True:
            await self.requests.asked.wait()
            await self._work_off_backlog()
            self.requests.asked.clear()
            await self.turn()

    async def _work_off_backlog(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._backlog_comes_first() and time.monotonic() < deadline:  # noqa: ASYNC110 - counted by many, told by none
            await asyncio.sleep(BACKLOG_POLL_SECONDS)

    def _backlog_comes_first(self) -> bool:
        return self._waiting() > BACKLOG and not self.requests.is_full()

    async def turn(self) -> None:
        """Serve every user who waits by now, then let go of the runs that waited for it."""
        runs = self.requests.take_runs()
        # Who asks again keeps the place, and who is new comes last: so many from the front are all of now.
        left = len(self.requests)
        while left > 0:
            async with self._serving:
                await self._serve(self._as_of_now(self.requests.take_users(min(left, BATCH_USERS))))
            left -= BATCH_USERS
        self.requests.let_go(runs)

    def _as_of_now(self, users: Iterable[WaitingUser]) -> list[Recipient]:
        return [
            Recipient(each.user, each.partition, user_rows.unpack(packed), each.received)
            for each in users
            if (packed := self._users.row(each.partition, each.user))
        ]

    async def refresh_loop(self, age_seconds: float) -> None:
        """Make lists anew that are older than so many seconds and out of date, while nobody waits."""
        while True:
            started = time.perf_counter()
            made = await self.refresh(age_seconds)
            # Some of the time may have gone into waiting for a Redis that was down, which is no reason to rest longer.
            rest = min(REFRESH_REST * (time.perf_counter() - started), REFRESH_SECONDS)
            await asyncio.sleep(rest if made else REFRESH_SECONDS)

    async def refresh(self, age_seconds: float) -> int:
        """Make one batch of outdated lists anew; return how many they were."""
        async with self._serving:
            if self.requests or self._waiting() > BACKLOG:
                return 0
            outdated = self._sweep.outdated(REFRESH_USERS, age_seconds, self._stamps())
            recipients = self._as_of_now(
                WaitingUser(user, partition, 0) for user, partition in outdated.items()
            )
            await self._serve(recipients, refreshed=True)
            return len(outdated)

    def _stamps(self) -> dict[int, Stamp]:
        """What lists would be made from now, by partition."""
        ours = sorted(self._users.partitions())
        for partition in ours:
            self.judges.look_up(partition)
        return {partition: self._stamp(partition) for partition in ours}

    def _stamp(self, partition: int) -> Stamp:
        return self._catalogue.version, self._weights.version(partition)

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
                self.popular.start_over()

    async def _serve(self, recipients: Sequence[Recipient], *, refreshed: bool = False) -> None:
        started = time.perf_counter()
        # A partition may move away while its users wait: their lists are for its new owner to make.
        recipients = [each for each in recipients if each.partition in self._weights]
        if not recipients:
            return
        learned = [self._weights.of(each.partition) for each in recipients]
        stamps = [self._stamp(each.partition) for each in recipients]
        made = self._lister.make(recipients, learned)
        lists = [each for each, _ in made]
        withheld = await until_taken(partial(self._store.push, lists))
        for (made_list, served), each, stamp in zip(made, recipients, stamps, strict=True):
            self._served.remember(made_list.user, served)
            self._sweep.note_made(each.user, each.partition, stamp)
            if not refreshed:
                metrics.EVENT_TO_REDIS.observe(max(time.time() - each.received / 1000.0, 0.0))
        metrics.LISTS.labels("withheld").inc(withheld)
        metrics.LISTS.labels("pushed").inc(len(lists) - withheld)
        metrics.STAGE_SECONDS.labels("recommend").observe(time.perf_counter() - started)
        metrics.STAGE_RECORDS.labels("recommend").inc(len(lists))

    def report(self) -> None:
        """Show what is known now as metrics."""
        self.judges.report()
        metrics.CATALOGUE_ITEMS.set(int(self._catalogue.available.sum()))
        metrics.CATALOGUE_EMBEDDED.set(self._catalogue.embedded)
