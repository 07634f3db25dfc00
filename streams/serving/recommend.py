"""recommend: makes new lists for waiting users, and pushes them to Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from redis.exceptions import RedisError

from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.lists import ListStore
from afresh.state.rows import users as user_rows
from afresh.state.rows.merging import accounts_of
from afresh.streams import metrics
from afresh.streams.serving.inspection import Inspection
from afresh.streams.serving.judge import Judge
from afresh.streams.serving.lister import Lister, Recipient
from afresh.streams.serving.live import Live
from afresh.streams.serving.pool import ScoringPool
from afresh.streams.serving.popular import PopularLists
from afresh.streams.serving.push import until_taken
from afresh.streams.serving.requests import Requests, WaitingUser
from afresh.streams.serving.served import ServedLists
from afresh.streams.serving.sweep import Stamp, Sweep
from afresh.streams.serving.users import Users
from afresh.streams.serving.weights import NewestWeights
from afresh.streams.topics import FIRST_PARTITION
from afresh.streams.traces import Traces

logger = logging.getLogger(__name__)

BATCH_USERS = 32
"""Lists made at a time: some 15 ms of work, which item rows wait for.

Measured at 300 events/s on two busy cores, when a list cost three times as much: an event waited 0.27 s for its list
with 32, as long with 128, and 0.45 s with 8, which needs more round trips.
"""

BACKLOG = 2000
"""Number of waiting records above which lists wait for the backlog: a list made before would soon be outdated."""

PATIENCE_SECONDS = 30.0
"""Longest time that lists wait for the backlog."""

BACKLOG_POLL_SECONDS = 0.01

STAMPS = 20_000
"""Users whose lists the sweep remembers; it finds those of others by passes over the table."""

SERVED_BYTES = 256 * 1024 * 1024
"""Memory for the lists that are remembered to be judged, unless a setting says otherwise, in bytes."""

REFRESH_SECONDS = 1.0
"""Pause of the sweep once no list is out of date."""

REFRESH_USERS = 8
"""Lists that the sweep makes at a time: few, because an active user may have to wait for them."""

REFRESH_REST = 2.0
"""Rest of the sweep, as a multiple of its working time: lists of idle users get a third of the time at most."""

WATCH_SECONDS = 1.0


class Recommender:
    """Makes one list for each waiting user in each turn of its loop, from the newest state.

    Parameters
    ----------
    catalogue
        Catalogue that lists are made from.
    store
        Store in Redis that lists are served from.
    lister
        Makes the lists.
    users
        Users whose lists this worker makes.
    waiting
        Returns the number of records that wait for the agents whose work the lists show.
    served_bytes
        Memory for the lists that are remembered to be judged, in bytes.
    traces
        Follows some events; None if none is followed.

    Attributes
    ----------
    requests
        Users and runs that wait for lists.
    weights
        The newest weights.
    live
        Verdicts on the lists, on the worker that learns the weights.
    popular
        Popular lists, for users of whom nothing is known.
    inspection
        Finds lists that Redis has lost one by one.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        store: ListStore,
        lister: Lister,
        users: Users,
        waiting: Callable[[], int] = lambda: 0,
        served_bytes: int = SERVED_BYTES,
        traces: Traces | None = None,
    ) -> None:
        self._traces = traces
        self._catalogue = catalogue
        self._store = store
        self._lister = lister
        self._users = users
        self._waiting = waiting
        self._served = ServedLists(served_bytes)
        self._pool = ScoringPool()
        self._sweep = Sweep(users.names, STAMPS)
        self._ours: Collection[int] | None = None
        self.weights = NewestWeights()
        self.live = Live()
        self.requests = Requests()
        self.popular = PopularLists(lister, store, self._served, self.weights, self._stamps)
        self.inspection = Inspection(store, users, self._sweep, self.popular)
        # Held while lists are made and pushed: a refreshed list must not overwrite a newer one of the same user.
        self._serving = asyncio.Lock()

    def judge(self, partition: int) -> Judge:
        """Make a judge of what the users of a partition take."""
        return Judge(partition, self._served, self._catalogue.known, self.weights.now)

    def request(self, partition: int, received: Mapping[str, int]) -> None:
        """Request new lists for users whose rows Kafka has acknowledged.

        Parameters
        ----------
        partition
            Partition of the rows.
        received
            When Kafka took the newest event in each user's row, in ms since 1970; 0 if no event is new.
        """
        self.requests.add_users(partition, received)

    def keep_only(self, partitions: Collection[int]) -> None:
        """Forget all other partitions."""
        self.requests.keep_only(partitions)
        self._ours = partitions
        if FIRST_PARTITION not in partitions:
            self.live.forget()
        self._sweep.keep_only(partitions)
        self.inspection.begin_anew()

    async def loop(self) -> None:
        """Make and push lists forever."""
        while True:
            await self.requests.asked.wait()
            await self._work_off_backlog()
            self.requests.asked.clear()
            await self.turn()

    async def _work_off_backlog(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._backlog_comes_first() and time.monotonic() < deadline:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(BACKLOG_POLL_SECONDS)

    def _backlog_comes_first(self) -> bool:
        return self._waiting() > BACKLOG and not self.requests.is_full()

    async def turn(self) -> None:
        """Serve every user who waits now, then allow the commit of the runs that wait for these users."""
        runs = self.requests.take_runs()
        # The first ``left`` users in the queue are all who wait now: a user who asks again stays where it is in the
        # queue, and a new one is added at the end.
        left = len(self.requests)
        while left > 0:
            async with self._serving:
                await self._serve(self._as_of_now(self.requests.take_users(min(left, BATCH_USERS))))
            left -= BATCH_USERS
        self.requests.let_go(runs)

    def _as_of_now(self, users: Iterable[WaitingUser]) -> list[Recipient]:
        """Return the users with their rows; without those whose row has moved into that of another user."""
        recipients = []
        for each in users:
            packed = self._users.row(each.partition, each.user)
            if packed and not (row := user_rows.unpack(packed)).to:
                recipients.append(Recipient(each.user, each.partition, row, each.received))
            else:
                self._sweep.forget(each.user)
        return recipients

    async def refresh_loop(self, age_seconds: float) -> None:
        """Make outdated lists older than ``age_seconds`` anew, while no user waits, forever."""
        while True:
            started = time.perf_counter()
            made = await self.refresh(age_seconds)
            # Limited, because the time may include waiting for a Redis that was down. That was no work to rest from.
            rest = min(REFRESH_REST * (time.perf_counter() - started), REFRESH_SECONDS)
            await asyncio.sleep(rest if made else REFRESH_SECONDS)

    async def refresh(self, age_seconds: float) -> int:
        """Make one batch of outdated lists anew; return the size of the batch."""
        async with self._serving:
            if self.requests or self._waiting() > BACKLOG:
                return 0
            outdated = self._sweep.outdated(REFRESH_USERS, age_seconds, self._stamps())
            recipients = self._as_of_now(
                WaitingUser(user, partition, 0) for user, partition in outdated.items()
            )
            await self._serve(recipients)
            return len(outdated)

    def _stamps(self) -> dict[int, Stamp]:
        """Return the stamp that a list made now would have, by partition."""
        return dict.fromkeys(sorted(self._users.partitions()), self._stamp())

    def _stamp(self) -> Stamp:
        return self._catalogue.version, self.weights.now.version

    async def watch_loop(self) -> None:
        """Have all lists made anew whenever Redis has lost its data, forever."""
        while True:
            await self.watch()
            await asyncio.sleep(WATCH_SECONDS)

    async def watch(self) -> None:
        """Treat every list as outdated if Redis has lost its data."""
        # No list may be in the making meanwhile: written before the loss and noted after it, it would count as being
        # in Redis.
        async with self._serving:
            try:
                lost = await self._store.has_lost()
            except (RedisError, OSError):
                return
            if lost:
                logger.warning("Redis has lost its data; all lists are made anew")
                metrics.REDIS_LOSSES.inc()
                self._sweep.start_over()
                self.popular.start_over()

    async def inspect_loop(self) -> None:
        """Look for lists that Redis has lost, round after round, forever."""
        while True:
            await self.look_for_lost()
            await asyncio.sleep(self.inspection.rest_seconds())

    async def look_for_lost(self) -> None:
        """Do a round of the inspection, unless lists are late; the sweep makes the lists again that it finds lost."""
        async with self._serving:
            if self._waiting() <= BACKLOG and not self.requests.is_full():
                await self.inspection.look(self.requests)

    async def _serve(self, recipients: Sequence[Recipient]) -> None:
        started = time.perf_counter()
        # A partition may move away while its users wait. Its new owner makes their lists.
        if self._ours is not None:
            recipients = [each for each in recipients if each.partition in self._ours]
        if not recipients:
            return
        async with self._catalogue.still:
            stamp, began = self._stamp(), time.time_ns()
            made = await self._lister.make_beside(recipients, self.weights.now, self._pool)
        lists, ready = [each for each, _ in made], time.time_ns()
        keys = [accounts_of(each.row, each.user) for each in recipients]
        withheld = await until_taken(partial(self._store.push, lists, keys))
        if self._traces is not None:
            waited = (each.row.last_event for each in recipients if each.received)
            self._traces.listed(waited, began, ready)
        for (made_list, served), each in zip(made, recipients, strict=True):
            self._served.remember(made_list.user, served)
            self._sweep.note_made(each.user, each.partition, stamp, made_list.generated_at)
            if each.received:
                metrics.EVENT_TO_REDIS.observe(max(time.time() - each.received / 1000.0, 0.0))
        metrics.LISTS.labels("withheld").inc(withheld)
        metrics.LISTS.labels("pushed").inc(sum(map(len, keys)) - withheld)
        metrics.STAGE_SECONDS.labels("recommend").observe(time.perf_counter() - started)
        metrics.STAGE_RECORDS.labels("recommend").inc(len(lists))

    def report(self) -> None:
        """Set the metrics of who waits, of the weights, of the lists remembered, and of the Catalogue."""
        metrics.USERS_WAITING.set(len(self.requests))
        metrics.LONGEST_WAIT.set(self.requests.longest_wait())
        self.weights.report()
        self._served.report()
        metrics.CATALOGUE_ITEMS.set(int(self._catalogue.available.sum()))
        metrics.CATALOGUE_EMBEDDED.set(self._catalogue.embedded)
        metrics.report_encoders(
            {(name, version): n for (name, version, _), n in self._catalogue.read_by.items()}
        )
