"""The runner: feeds every agent with runs, and writes the effects of a run in a fixed order.

The order of a run:

1. Compute, on copies of the rows.
2. Send the outgoing records; Kafka acknowledges them.
3. Write the changed rows and their marks in one record batch; Kafka acknowledges it.
4. Push the list to Redis, for the agent that makes lists.
5. Only now allow Faust to commit the offset.

A crash between two steps repeats work, and loses none. Outgoing records may then come twice, but the marks of the next
agent drop the second copy. Rows never count a record twice. With 2 and 3 swapped, outgoing records could be lost: the
mark would already cover a run whose records were never sent.
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
from afresh.streams.kafka.ending import meaning_of
from afresh.streams.kafka.sender import FencedError, GroupSender, Outgoing, OutgoingRecord, Sender
from afresh.streams.kafka.tables import RunTable
from afresh.streams.runs.run import Owned, Run, RunDroppedError, place_of

logger = logging.getLogger(__name__)

HEARTBEAT_WAIT_SECONDS = 0.05

FINISH_SECONDS = 3.0
"""Time for running runs to finish when a rebalance ends their agent. Runs that do not finish are read again."""


class Runner:
    """Feeds an agent with runs, and writes the effects of a run in the order of the module.

    Parameters
    ----------
    app
        The Faust app.
    stage
        Name of the agent in metrics.
    ready
        Event that the agent waits for before its first run; None: it does not wait.
    rest_seconds
        Pause after each run of a partition, in seconds, for an agent that nobody waits for. It makes runs fewer and
        longer.

    Attributes
    ----------
    stage
        Name of the agent in metrics.
    """

    def __init__(
        self, app: App, stage: str, ready: asyncio.Event | None = None, rest_seconds: float = 0.0
    ) -> None:
        self._rest_seconds = rest_seconds
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
        self._done: dict[TP, tuple[int | None, int]] = {}

    async def drive(self, stream: Any, process: Callable[[Run], Awaitable[None]]) -> None:
        """Hand every run of a stream to ``process``, which calls ``run.done()`` itself or has it called later.

        Runs of one partition go one after the other, whatever their topic, because they change the same rows. Runs of
        different partitions overlap: while one waits for Kafka, another is processed.
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
            # Faust ends the agent to stop or to rebalance. Runs still being processed must not overlap with runs of
            # the next assignment. A process that stops has already waited for them.
            await _finished(newest.values(), 0.0 if self._app.should_stop else FINISH_SECONDS)

    def _hold_back(self, tp: TP) -> None:
        """Take over no more of a partition until its run has ended, so that the next run is as long as the backlog.

        Without this, Faust would fill the agent's queue with runs of the partition, and the runs of all other agents
        would wait behind them. The client fetches one run ahead all the same.
        """
        self._under_way[tp] += 1
        self._app.consumer.on_buffer_full(tp)

    async def _after(
        self, before: asyncio.Task[None] | None, run: Run, process: Callable[[Run], Awaitable[None]]
    ) -> None:
        """Process a run once the run before it in the same partition has ended."""
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
            if not self._under_way[tp] and tp in self._app.consumer.assignment():
                self._app.consumer.on_buffer_drop(tp)

    async def _take(self, run: Run, process: Callable[[Run], Awaitable[None]]) -> None:
        """Process a run. Every failure except a moved partition ends the worker: to go on would leave a hole."""
        started = time.perf_counter()
        self._repeated.discard(run.partition)
        self._begun = [*filter(self._open, self._begun), run.event.message]
        try:
            # Checked before processing, too. Agents cache what they derive from rows, for one assignment. A run from
            # an earlier assignment would change that cache, and would count as a repeat when it is read again.
            await self._check_owner(run)
            await process(run)
            self._seconds.observe(time.perf_counter() - started)
            self._records.inc(len(run.records))
            if run.partition in self._repeated:
                metrics.RUNS_REPEATED.labels(self.stage).inc()
            message = run.event.message
            self._done[TP(*message.tp)] = message.generation_id, message.offset + 1
        except RunDroppedError:
            metrics.RUNS_DROPPED.labels(self.stage).inc()
            logger.info(
                "%s drops a run of %s-%d: its partition has moved",
                *(self.stage, run.topic, run.partition),
                extra=place_of(run.records[0], self.stage),
            )
        except Exception as error:
            if self._app.should_stop:
                logger.info(
                    "%s did not finish a run of %s-%d; it will be read again",
                    *(self.stage, run.topic, run.partition),
                    extra=place_of(run.records[0], self.stage),
                )
                return
            if meaning_of(error) is None:
                logger.exception("%s cannot go on", self.stage, extra=place_of(run.records[0], self.stage))
            await self._app.crash(error)
            raise
        # Faust keeps a message until its offset is committed. The records in it would hold memory for nothing.
        run.event.value = run.event.message.value = None

    def unfinished(self) -> bool:
        """Whether a run has begun and may not be committed yet."""
        return any(map(self._open, self._begun))

    def _open(self, message: Message) -> bool:
        return not message.acked and message.generation_id == self._app.consumer_generation_id

    def waiting(self) -> int:
        """Return the number of records behind the newest run of each partition that is ours."""
        ours, generation = self._app.assigned(), self._app.consumer_generation_id
        return sum(
            self._app.consumer.waiting(tp, done)
            for tp, (since, done) in self._done.items()
            if tp in ours and since == generation
        )

    async def write(self, owned: Owned, outgoing: Outgoing, table: RunTable, change: Change) -> None:
        """Do steps 2 and 3: outgoing records, then the changed rows with their marks, each acknowledged.

        Parameters
        ----------
        owned
            Run, or assignment, that the effects belong to.
        outgoing, table, change
            The effects.

        Raises
        ------
        RunDroppedError
            When the partition was assigned anew in the meantime.
        """
        with self._app.writes.under_way():
            sender = await self._outgoing_sender()
            await self._check_owner(owned)
            await sender.send(outgoing)
            await self._check_owner(owned)
            first = await self._write_rows(owned, table, change)
        await self._check_owner(owned)
        change.apply(first)
        if change.marks.skipped:
            self._repeated.add(owned.partition)

    async def _write_rows(self, owned: Owned, table: RunTable, change: Change) -> int:
        topic = table.changelog_topic.get_topic_name()
        records = [OutgoingRecord(key, row) for key, row in change.records()]
        try:
            return await self._app.claims.sender(topic, owned.partition).send_whole(
                topic, owned.partition, records
            )
        except FencedError:
            # The worker that claimed the partition usually owns it, and this run is dropped. If the group says that
            # the partition is still ours, the claim was wrong. This worker then ends, to claim and read it again.
            await self._check_owner(owned)
            raise

    async def _outgoing_sender(self) -> GroupSender:
        async with self._starting:
            if self._sender is None:
                producer = await self._app.producers.start()
                self._sender = GroupSender(Sender(producer, self._app.limits))
            return self._sender

    async def _check_owner(self, owned: Owned) -> None:
        """Raise RunDroppedError if partitions were assigned anew since this one."""
        consumer = self._app.consumer
        while owned.generation == self._app.consumer_generation_id:
            # A worker that slept through its session timeout still believes that it owns its partitions. It must get
            # an answer to a heartbeat before it writes.
            if consumer.membership_is_fresh():
                return
            await asyncio.sleep(HEARTBEAT_WAIT_SECONDS)
        raise RunDroppedError


async def _finished(tasks: Collection[asyncio.Task[None]], seconds: float) -> None:
    """Wait for tasks, and cancel those that take longer than ``seconds``."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    # Exceptions are not raised again: a task that failed has already ended the worker.
    await asyncio.gather(*tasks, return_exceptions=True)
