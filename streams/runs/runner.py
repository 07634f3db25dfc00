"""Runs: how every agent takes records in, and the order in which it gives effects out.

The order of a run:

1. compute, on copies of the rows;
2. outgoing records, acknowledged by Kafka;
3. changed rows together with their marks, in one record batch, acknowledged;
4. the list in Redis, for the agent that makes lists;
5. only then may Faust commit the offset.

A crash between any two repeats work and loses none: outgoing records may come twice, and the next agent's marks
drop them; rows are never counted twice. The reverse of 2 and 3 would lose outgoing records: a mark would already
cover a run whose records never left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from faust.types import TP
from faust.types.tuples import Message

from afresh.state.store.changes import Change
from afresh.streams import metrics
from afresh.streams.kafka.app import App
from afresh.streams.kafka.sender import FencedError, GroupSender, Outgoing, OutgoingRecord, Sender
from afresh.streams.kafka.tables import RunTable
from afresh.streams.runs.run import Run, RunDroppedError

logger = logging.getLogger(__name__)

HEARTBEAT_WAIT_SECONDS = 0.05

FINISH_SECONDS = 3.0
"""Time for runs under way when a rebalance ends their agent; what they have not written is read again."""

RUNS_HELD = 2
"""Runs of a partition that an agent holds that does not rest: one under way, one waiting."""


class Runner:
    """Feeds an agent with runs, and writes the effects of a run in their order.

    Parameters
    ----------
    app
        The Faust app.
    stage
        Name of the agent in metrics.
    ready
        What the agent waits for before its first run, if anything.
    rest_seconds
        Pause after each run of a partition, for an agent that nobody waits for: its runs are fewer and longer.

    Attributes
    ----------
    stage
        Name of the agent in metrics.
    """

    def __init__(
        self, app: App, stage: str, ready: asyncio.Event | None = None, rest_seconds: float = 0.0
    ) -> None:
        self._rest_seconds = rest_seconds
        self._runs_held = 1 if rest_seconds else RUNS_HELD
        self._ready = ready
        self._under_way: Counter[TP] = Counter()
        self._begun: list[Message] = []
        self._repeated: set[int] = set()
        self._sender: GroupSender | None = None
        self._starting = asyncio.Lock()
        self._app = app
        self.stage = stage
        self._seconds = metrics.STAGE_SECONDS.labels(stage)
        self._records = metrics.STAGE_RECORDS.labels(stage)
        self._behind: dict[TP, int] = {}

    async def drive(self, stream: Any, process: Callable[[Run], Awaitable[None]]) -> None:
        """Hand every run of a stream to ``process``, which calls ``run.done()`` or has it called.

        Runs of one partition follow one another, of whichever topic they are, since they change the same rows;
        those of different partitions overlap, so that one waits for Kafka while another is worked on.
        """
        newest: dict[int, asyncio.Task[None]] = {}
        try:
            async for event in stream.noack().events():
                if self._ready is not None:
                    await self._ready.wait()
                tp = TP(*event.message.tp)
                self._hold_back(tp)
                run = Run(event, event.value)
                newest[tp.partition] = asyncio.create_task(
                    self._after(newest.get(tp.partition), run, process)
                )
        finally:
            # Faust ends the agent to stop or to rebalance: what is under way must not meet what comes after.
            # A process that stops has waited already.
            await _finished(newest.values(), 0.0 if self._app.should_stop else FINISH_SECONDS)

    def _hold_back(self, tp: TP) -> None:
        """Fetch no more of a partition while a run of it waits: the next one is then as long as the backlog.

        Left to Faust, the run would fill the agent's queue, and all other agents' runs would wait behind it.
        """
        self._under_way[tp] += 1
        if self._under_way[tp] >= self._runs_held:
            self._app.consumer.on_buffer_full(tp)

    async def _after(
        self, before: asyncio.Task[None] | None, run: Run, process: Callable[[Run], Awaitable[None]]
    ) -> None:
        """Process a run after the one before it of the same partition."""
        tp = TP(*run.event.message.tp)
        try:
            if before is not None:
                await before
            if self._app.should_stop:
                return
            await self._take(run, process)
            await asyncio.sleep(self._rest_seconds)
        finally:
            self._under_way[tp] -= 1
            if self._under_way[tp] < self._runs_held and tp in self._app.consumer.assignment():
                self._app.consumer.on_buffer_drop(tp)

    async def _take(self, run: Run, process: Callable[[Run], Awaitable[None]]) -> None:
        """Process a run. Any failure but a partition that moved ends the worker: it would leave a hole."""
        started = time.perf_counter()
        self._repeated.discard(run.partition)
        self._begun = [*filter(self._open, self._begun), run.event.message]
        try:
            # Before it is worked on, too: what agents derive from rows belongs to one assignment of the partitions.
            # A run fetched under an earlier one would leave its traces there, and be taken for known when read again.
            await self._check_owner(run)
            await process(run)
            self._seconds.observe(time.perf_counter() - started)
            self._records.inc(len(run.records))
            if run.partition in self._repeated:
                metrics.RUNS_REPEATED.labels(self.stage).inc()
            self._note_waiting(run)
        except RunDroppedError:
            metrics.RUNS_DROPPED.labels(self.stage).inc()
            logger.info("%s drops a run of %s-%d: its partition moved", self.stage, run.topic, run.partition)
        except Exception as error:
            if self._app.should_stop:
                logger.info("%s leaves a run of %s-%d to be read again", self.stage, run.topic, run.partition)
                return
            logger.exception("%s can not go on", self.stage)
            await self._app.crash(error)
            raise
        # Faust keeps a message until its offset is committed; the records in it are needed no longer.
        run.event.value = run.event.message.value = None

    def unfinished(self) -> bool:
        """Whether a run has begun that may not be committed yet."""
        return any(map(self._open, self._begun))

    def _open(self, message: Message) -> bool:
        return not message.acked and message.generation_id == self._app.consumer_generation_id

    def waiting(self) -> int:
        """Records that wait behind the last runs."""
        ours = self._app.assigned()
        return sum(records for tp, records in self._behind.items() if tp in ours)

    def _note_waiting(self, run: Run) -> None:
        tp = TP(*run.event.message.tp)
        highwater = self._app.consumer.highwater(tp)
        self._behind[tp] = max(highwater - run.event.message.offset - 1, 0)

    async def write(self, run: Run, outgoing: Outgoing, table: RunTable, change: Change) -> None:
        """Steps 2 and 3: outgoing records, then the changed rows with their marks, each acknowledged.

        Raises
        ------
        RunDroppedError
            When the partition moved away meanwhile, or may have without our noticing.
        """
        sender = await self._outgoing_sender()
        await self._check_owner(run)
        await sender.send(outgoing)
        await self._check_owner(run)
        first = await self._write_rows(run, table, change)
        await self._check_owner(run)
        change.apply(first)
        if change.marks.skipped:
            self._repeated.add(run.partition)

    async def _write_rows(self, run: Run, table: RunTable, change: Change) -> int:
        topic = table.changelog_topic.get_topic_name()
        records = [OutgoingRecord(key, row) for key, row in change.records()]
        try:
            return await self._app.claims.sender(topic, run.partition).send_whole(
                topic, run.partition, records
            )
        except FencedError:
            # Whoever claimed the partition owns it, and then this run is dropped. Where the group says that it is
            # still ours, somebody claimed it who was not entitled to, and it must be claimed and read again.
            await self._check_owner(run)
            raise

    async def _outgoing_sender(self) -> GroupSender:
        async with self._starting:
            if self._sender is None:
                self._sender = GroupSender(Sender(await self._app.producers.start()))
            return self._sender

    async def _check_owner(self, run: Run) -> None:
        """Raise RunDroppedError if the run's partition was assigned anew since the run was fetched."""
        consumer = self._app.consumer
        while run.event.message.generation_id == self._app.consumer_generation_id:
            # A worker that slept through its session timeout believes that it still owns its partitions: it
            # must hear from the group before it writes.
            if consumer.membership_is_fresh():
                return
            await asyncio.sleep(HEARTBEAT_WAIT_SECONDS)
        raise RunDroppedError


async def _finished(tasks: Collection[asyncio.Task[None]], seconds: float) -> None:
    """Let tasks finish, and cancel those that take too long."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    # Whoever failed has ended the worker already.
    await asyncio.gather(*tasks, return_exceptions=True)
