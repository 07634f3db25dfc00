"""The thread that fetches from Kafka, and hands over the records of each partition as one message."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import aiokafka
from aiokafka.consumer.fetcher import READ_UNCOMMITTED
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

import afresh.streams.kafka.batches  # noqa: F401 - replaces how aiokafka takes batches apart
from afresh.state.errors import StartAgainError
from afresh.state.store.marks import UNKNOWN
from afresh.streams.kafka.polls import poll_long
from afresh.streams.kafka.rights import refusal
from afresh.streams.kafka.starts import Committed, Start, tell_lost

if TYPE_CHECKING:
    from afresh.streams.kafka.app import App

PREFETCH_BACKOFF_SECONDS = 0.005
"""Wait of the fetcher for a broker while one of its partitions has unread records; aiokafka's default is 0.1 s."""

PASSED_SECONDS = 0.2
"""Time between two looks for partitions whose position has moved though no record came."""


class RunConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's fetching thread, changed so that the records of each partition become one message: a run."""

    heartbeat_answered: float = float("-inf")
    """When the group last confirmed our membership, monotonic, in seconds."""

    starts: Mapping[TP, Start] = {}
    """Source partitions that do not go on at their committed offsets in this assignment."""

    released = False
    """Whether other partitions may be read than when the wait for records that is under way was asked for."""

    _committing: asyncio.Lock
    """Held while an offset is committed: one that is committed again must not overtake a later one."""

    _handed_over: dict[TP, int]
    _looked = float("-inf")

    async def on_start(self) -> None:
        """Start the client with shorter waits."""
        self._handed_over = {}
        await super().on_start()
        consumer = self._ensure_consumer()
        consumer._fetcher._prefetch_backoff = PREFETCH_BACKOFF_SECONDS
        longest = cast(Any, self.transport).fetch_max_wait_seconds
        poll_long(consumer, longest, self._left_out)
        self._note_heartbeats(consumer._coordinator)
        self._note_refusals(consumer._coordinator)
        self._note_commits(consumer)

    def _left_out(self, unread: Collection[TP]) -> bool:
        """Whether a fetch under way may leave out what is read next."""
        # A rebalance puts positions back. Without one, nobody reads a partition that Faust has paused: the records of a
        # changelog that this process itself writes stay unread for ever.
        paused = cast(Any, self.consumer)._paused_partitions
        return self.app.rebalancing or any(tp not in paused for tp in unread)

    def _note_commits(self, consumer: Any) -> None:
        """Let every committed offset name the incarnation of its topic, and note that Kafka took it."""
        commit, app = consumer.commit, cast("App", self.app)
        self._committing = asyncio.Lock()

        async def noted(offsets: Mapping[TP, OffsetAndMetadata]) -> None:
            async with self._committing:
                await commit({tp: self._noted(tp, each.offset) for tp, each in offsets.items()})
            app.writes.taken()

        consumer.commit = noted

    def _noted(self, tp: TP, offset: int) -> OffsetAndMetadata:
        return OffsetAndMetadata(offset, str(cast("App", self.app).incarnations.of(tp.topic)))

    async def commit_again(self, tp: TP) -> None:
        """Commit the committed offset of a source partition again, just as it is; 0, if it has none, says the same."""
        consumer = self._ensure_consumer()
        async with self._committing:
            found = (await consumer._coordinator.fetch_committed_offsets([tp])).get(tp)
            same = found if found and found.offset >= 0 else self._noted(tp, 0)
            # Not by the method that notes the incarnation: an offset of a topic that was made again keeps its own.
            await type(consumer).commit(consumer, {TopicPartition(*tp): same})
        cast("App", self.app).writes.taken()

    def _note_heartbeats(self, coordinator: Any) -> None:
        heartbeat = coordinator._do_heartbeat

        async def noted() -> bool:
            answered = await heartbeat()
            if answered:
                self.heartbeat_answered = time.monotonic()
            return bool(answered)

        coordinator._do_heartbeat = noted

    def _note_refusals(self, coordinator: Any) -> None:
        """Let a right to the group that is missing end the process.

        aiokafka keeps the error until somebody asks for records, and nobody does before the group has answered.
        """
        push = coordinator._push_error_to_user

        def noted(error: BaseException) -> Any:
            if refusal(error) is not None:
                asyncio.run_coroutine_threadsafe(self.app.crash(error), self.app.loop)
            return push(error)

        coordinator._push_error_to_user = noted

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every source partition to its start, its committed offset or, if it has none, its beginning."""
        return cast(Mapping[TP, int], await self.call_thread(self._seek_to_committed))

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        committed: Mapping[TP, int] = await consumer.seek_to_committed()
        # aiokafka does not move a partition without a committed offset. Records fetched before the end of recovery are
        # thrown away. Without this seek they would be lost, if a worker crashed before the first commit.
        changelogs = self.app.tables.changelog_topics
        uncommitted = [tp for tp, offset in committed.items() if not offset and tp.topic not in changelogs]
        if uncommitted:
            await consumer.seek_to_beginning(*uncommitted)
        # A later commit says better where to go on.
        starts = {tp: to for tp, (instead_of, to) in self.starts.items() if committed.get(tp) == instead_of}
        for tp, to in starts.items():
            consumer.seek(tp, to)
        return {**committed, **starts}

    async def committed(self, tps: Collection[TP]) -> Mapping[TP, Committed | None]:
        """Return the committed offset of each partition; None if it has none."""
        return cast("Mapping[TP, Committed | None]", await self.call_thread(self._committed, tps))

    async def _committed(self, tps: Collection[TP]) -> Mapping[TP, Committed | None]:
        found = await self._ensure_consumer()._coordinator.fetch_committed_offsets(list(tps))
        return {tp: _committed(found[tp]) if tp in found else None for tp in tps}

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust leaves aborted transactions out only when it uses transactions itself.
        consumer._isolation_level = "read_committed"
        return consumer

    async def end_offsets(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """Ask Kafka for the high watermark of each partition, the offset behind everything that Kafka has taken.

        To the client itself Kafka answers with the last stable offset, which stands still while a transaction is open.
        """
        asking = copy.copy(self._ensure_consumer()._fetcher)
        asking._isolation_level = READ_UNCOMMITTED
        return cast(Mapping[TP, int], await asking.end_offsets(list(tps), None))

    async def _highwaters(self, partitions: list[TP]) -> Mapping[TP, int]:
        # For changelogs. A recovery that ended at the last stable offset would leave out rows behind a transaction
        # that somebody has opened there.
        return await self.end_offsets(partitions)

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> dict[TP, list[ConsumerRecord[None, Any]]]:
        try:
            fetched = await super()._fetch_records(consumer, active_partitions, 0.0, max_records)
        except NoOffsetForPartitionError:
            # Before the first seek of an assignment, a partition without a committed offset has no position.
            return {}
        except OffsetOutOfRangeError as error:
            await self._go_on_behind_gap(error.args[0])
            return {}
        runs = {tp: [_as_run(records)] for tp, records in fetched.items() if records}
        self._handed_over |= {tp: run.offset + 1 for tp, (run,) in runs.items()}
        if active_partitions and time.monotonic() - self._looked > PASSED_SECONDS:
            self._looked = time.monotonic()
            runs |= {
                tp: [_passed(tp, end)] for tp, end in self._moved(consumer, active_partitions - runs.keys())
            }
        # This thread begins to wait a moment after it was asked to. What is released in between must not wait with it.
        if not runs and timeout and not self.released:
            # The next call takes what comes meanwhile: a rebalance may have changed which partitions are read.
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await consumer._fetcher._create_fetch_waiter()
        return runs

    def look_again(self) -> None:
        """End the wait for records, because other partitions may be read now; also if it has not begun yet."""
        self.released = True
        # A run can end after the thread.
        with suppress(RuntimeError):
            self.thread_loop.call_soon_threadsafe(self._end_wait)

    def _end_wait(self) -> None:
        fetcher = self._ensure_consumer()._fetcher
        for waiter in fetcher._fetch_waiters:
            fetcher._notify(waiter)

    def _moved(self, consumer: aiokafka.AIOKafkaConsumer, tps: Iterable[TP]) -> Iterator[tuple[TP, int]]:
        """Yield partitions that are read beyond the records handed over, and up to where they are."""
        for tp in tps:
            position = position_of(consumer, tp)
            if (
                position
                and position > self._handed_over.get(tp, 0)
                and self.app.topics.acks_enabled_for(tp.topic)
            ):
                self._handed_over[tp] = position
                yield tp, position

    async def _go_on_behind_gap(self, positions: Mapping[TP, int]) -> None:
        """Go on at the beginning of logs that begin behind our positions now.

        aiokafka would go on at the beginning of any log, without a word, even if that is another topic by now.

        Raises
        ------
        StartAgainError
            If a log ends before our position.
        """
        consumer = self._ensure_consumer()
        begins = await consumer.beginning_offsets(list(positions))
        for tp, position in positions.items():
            if tp not in consumer.assignment() or await consumer.position(tp) != position:
                continue
            if begins[tp] <= position:
                raise StartAgainError(
                    f"{tp.topic}-{tp.partition} has no offset {position} any more, up to which it was read: it was cut "
                    "short, or made again, while this process ran; start it again: then it says what that means"
                )
            consumer.seek(tp, begins[tp])
            # A changelog without its beginning is refused once it is read; Faust seeks to just before it.
            if tp.topic not in self.app.tables.changelog_topics:
                tell_lost(TP(*tp), begins[tp] - position)


def position_of(consumer: aiokafka.AIOKafkaConsumer, tp: TP) -> int | None:
    """Return the offset that a client reads next; None if a rebalance has just given or taken the partition."""
    with suppress(AssertionError, AttributeError):
        return cast(int, consumer._subscription.subscription.assignment.state_value(tp).position)
    return None


def _passed(tp: TP, end: int) -> ConsumerRecord[None, Any]:
    """Make a run without records: what stands before ``end`` were markers of transactions, or aborted records."""
    return ConsumerRecord(tp.topic, tp.partition, end - 1, -1, 0, None, (), None, 0, 0, ())


def _committed(found: OffsetAndMetadata) -> Committed | None:
    # 0.1.0 and other tools note nothing.
    incarnation = int(found.metadata) if found.metadata.isdecimal() else UNKNOWN
    return Committed(found.offset, incarnation) if found.offset >= 0 else None


def _as_run(records: list[ConsumerRecord[bytes, bytes]]) -> ConsumerRecord[None, Any]:
    last = records[-1]
    return ConsumerRecord(
        topic=last.topic,
        partition=last.partition,
        offset=last.offset,
        timestamp=last.timestamp,
        timestamp_type=last.timestamp_type,
        key=None,
        value=records,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=(),
    )
