"""Transport that moves runs of records through Faust instead of single messages.

Faust spends about 150 µs on every message, whatever the agent does with it. Here one Faust message carries a *run*:
all records of one partition that the client has fetched. The length of runs adapts by itself: only a few runs wait,
further records wait in the client's buffer, and so the next run is as long as the backlog.

This module and ``streams.kafka.fetcher`` also mend four stalls and one loss of records in Faust 0.15 and aiokafka
0.14. A comment names each where it is mended.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, cast

from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import Message
from mode import ServiceT

from afresh.state.errors import AfreshError
from afresh.streams.kafka.commits import CommitAges
from afresh.streams.kafka.fetcher import RunConsumerThread, position_of
from afresh.streams.kafka.polls import SHORT_SECONDS
from afresh.streams.kafka.rights import refusal
from afresh.streams.kafka.starts import Committed, Start

POLL_SECONDS = 0.5
"""Longest wait for records. It ends when some come, and when a partition that was held back is released."""

HELD_BACK_SECONDS = 0.002
"""Wait while every partition is held back; Faust sleeps a whole second."""


class Delivered(NamedTuple):
    """A run that was handed to an agent and is not committed yet.

    Attributes
    ----------
    message
        Message of the run; it may no longer hold the records.
    first
        Offset of the first record.
    taken_at
        When Kafka took the first record, seconds since 1970.
    """

    message: Message
    first: int
    taken_at: float


class RunConsumer(driver.Consumer):
    """Consumer of runs: commits up to the first run that is not acknowledged.

    Faust expands every gap in the offsets into a list. Here, the messages themselves wait in their order. A run then
    costs the same whatever its length, and an acknowledgement from before a rebalance has no effect.

    Attributes
    ----------
    commit_ages
        How long runs wait to be committed.
    last_commit_taken
        Whether Kafka has taken the last commit.
    """

    _thread: RunConsumerThread
    _delivered: defaultdict[TP, deque[Delivered]]
    _passed: dict[TP, int]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._delivered = defaultdict(deque)
        self._passed = {}
        self.commit_ages = CommitAges()
        self.last_commit_taken = True
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> RunConsumerThread:
        return RunConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Deliver runs until the consumer or its fetcher stops.

        Faust uses five tasks to wait for each delivery, and every task costs turns of the event loop. Under load, a
        turn takes a millisecond: at a few hundred runs a second, each run waited for 30 ms.
        """
        stopped: tuple[type[BaseException], ...] = (*self.consumer_stopped_errors, asyncio.CancelledError)
        try:
            while not (self.should_stop or fetcher.should_stop):
                async for tp, message in self.getmany(timeout=POLL_SECONDS):
                    read = self._read_offset[tp]
                    if read is not None and message.offset < read:
                        continue
                    if not message.value:
                        self._pass(tp, message)
                        continue
                    self._remember(tp, message)
                    if await self._deliver(message):
                        self._read_offset[tp] = message.offset
                await asyncio.sleep(0)
        except stopped:
            if not self.transport.app.should_stop:
                raise

    def _pass(self, tp: TP, message: Message) -> None:
        """Let the offset behind markers and aborted records be committed, once every run before is done."""
        message.acked = True
        self._delivered[tp].append(Delivered(message, message.offset, 0.0))
        self._passed[tp] = message.offset + 1

    def _remember(self, tp: TP, message: Message) -> None:
        """Remember a run before it is delivered, if its topic is committed.

        A run that is skipped must not be remembered: nobody would acknowledge it, and commits would wait for it.
        """
        if self.app.topics.acks_enabled_for(tp.topic):
            first = cast("list[ConsumerRecord[bytes, bytes]]", message.value)[0]
            self._delivered[tp].append(Delivered(message, first.offset, first.timestamp / 1000.0))
            self.commit_ages.delivered(tp)

    async def _deliver(self, message: Message) -> bool:
        """Hand a run to its agent unless a rebalance suspends the flow first; return whether it was handed over."""
        if self.app.flow_control.is_active():
            # This does not block: agents hold back a partition before their queue is full.
            await self.callback(message)
            return True
        delivery = asyncio.ensure_future(self.callback(message))
        suspended = asyncio.ensure_future(self.suspend_flow.wait())
        try:
            await asyncio.wait({delivery, suspended}, return_when=asyncio.FIRST_COMPLETED)
            if delivery.done():
                delivery.result()
            return delivery.done()
        finally:
            delivery.cancel()
            suspended.cancel()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        if active_partitions is not None and self.app.rebalancing:
            # The last step of a rebalance is that Faust empties the agents' queues, after the seek to the committed
            # offsets. Source records delivered in between would be lost, and records of standbys, too. Until then,
            # only the changelogs of active partitions are read.
            active_partitions = active_partitions & cast(Any, self.app.tables).recovery.active_tps
            # Recovery gives back partitions, and puts positions back, without ending a wait.
            timeout = SHORT_SECONDS
            if not active_partitions:
                await asyncio.sleep(HELD_BACK_SECONDS)
                return {}
        try:
            return await super()._getmany(active_partitions, timeout)
        except (AfreshError, KafkaError) as error:
            if isinstance(error, AfreshError) or refusal(error) is not None:
                await self.app.crash(error)
            raise

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:
        self._thread.released = False
        if self.flow_active and not self._get_active_partitions():
            await asyncio.sleep(HELD_BACK_SECONDS)
            return {}, set()
        return await super()._wait_next_records(timeout)

    def on_buffer_drop(self, tp: TP) -> None:
        """Release a partition that was held back; the client may hold records of it already."""
        held_back = tp in self._buffered_partitions
        super().on_buffer_drop(tp)
        if held_back:
            self._thread.look_again()

    def stop_flow(self) -> None:
        """Hand over no more runs, and do not wait for one."""
        super().stop_flow()
        self._thread.look_again()

    def ack(self, message: Message) -> bool:
        """Acknowledge a run, so that its offset may be committed."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        wanted = (tp for tp in self._delivered if topics is None or tp in topics or tp.topic in topics)
        return iter([tp for tp in wanted if self._delivered[tp] and self._delivered[tp][0].message.acked])

    def _new_offset(self, tp: TP) -> int | None:
        offset = None
        delivered = self._delivered[tp]
        while delivered and delivered[0].message.acked:
            offset = delivered.popleft().message.offset + 1
        return offset

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        self.last_commit_taken = False
        committed = self.last_commit_taken = bool(await super()._commit(offsets))
        for tp in offsets if committed else ():
            self.commit_ages.committed(tp, more=bool(self._delivered.get(tp)))
        return committed

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: offsets left out by compaction or control records need no bookkeeping here."""

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget the runs of revoked partitions."""
        self._forget(revoked)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Forget the runs delivered before this assignment: they are read again."""
        self._forget(list(self._delivered))
        self.start_at({})
        self._thread.heartbeat_answered = time.monotonic()
        # Kafka has written down the members of the group, and their claims.
        cast(Any, self.app).writes.taken()
        await super().on_partitions_assigned(assigned, generation_id)

    def assignment(self) -> set[TP]:
        """Return the partitions that are ours; none before the fetching thread has started."""
        # Faust raises instead, which ended about one start in some hundreds: the loop that makes lists asks early.
        try:
            return set(super().assignment())
        except ConsumerNotStarted:
            return set()

    def highwater(self, tp: TP) -> int:
        """Return the offset behind the last record of a partition; 0 if a rebalance has just taken it away."""
        # The fetching thread may take the partition away between Faust's check and its access.
        try:
            return super().highwater(tp) or 0
        except (AssertionError, AttributeError):
            return 0

    def waiting(self, tp: TP, done: int) -> int:
        """Count the records of a partition that may be read and are not done.

        Parameters
        ----------
        tp
            The partition.
        done
            Offset behind the records done.

        Returns
        -------
        Records up to the last stable offset. Records of an open transaction, and all behind it, wait for its producer
        and not for us: they are part of the lag, and must not hold lists back.
        """
        try:
            stable = self._thread._ensure_consumer().last_stable_offset(tp) or 0
        except (AssertionError, AttributeError):
            return 0
        return max(int(stable) - max(done, self._passed.get(tp, 0)), 0)

    async def ends(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """Ask Kafka for the high watermark of each partition; the caller may cancel it.

        Raises
        ------
        KafkaError
            When Kafka refuses to answer.
        """
        return cast(Mapping[TP, int], await self._at_once(self._thread.end_offsets(tps)))

    async def commit_again(self) -> None:
        """Commit an offset that is committed already; the caller may cancel it.

        Raises
        ------
        KafkaError
            When Kafka refuses.
        """
        ours = [tp for tp in self.assignment() if self.app.topics.acks_enabled_for(tp.topic)]
        if ours:
            await self._at_once(self._thread.commit_again(min(ours)))
        else:
            # A worker that only keeps copies for others has nothing to write.
            cast(Any, self.app).writes.taken()

    async def _at_once(self, asked: Coroutine[Any, Any, Any]) -> Any:
        # Not through the thread's queue: while one broker hangs, fetches from the others would wait in it.
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked, self._thread.thread_loop))

    def undone(self, tp: TP) -> tuple[int | None, float | None]:
        """Return the first unfinished record of a partition.

        Returns
        -------
        Offset of the first record that may not be committed yet, and when Kafka took it, in seconds since 1970. The
        time is None if the record was not handed over yet. Both are None if a rebalance has just given or taken the
        partition. Unlike a committed offset, this offset also passes control records at the end of the partition.
        """
        for run in self._delivered.get(tp, ()):
            if not run.message.acked:
                return run.first, run.taken_at
        with suppress(AttributeError):
            return position_of(self._thread._ensure_consumer(), tp), None
        return None, None

    async def verify_all_partitions_active(self) -> None:
        """Verify all partitions at once; Faust takes a turn of the event loop for each."""
        now = time.monotonic()
        for tp in self.assignment():
            self.verify_event_path(now, tp)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Let Faust warn of a partition that stands still, unless a rebalance has just given or taken it."""
        # Such a partition has no position yet, or no state any more. Faust would crash the consumer.
        with suppress(AssertionError, AttributeError):
            super().verify_event_path(now, tp)

    def membership_is_fresh(self) -> bool:
        """Whether the group has confirmed our membership within the session timeout."""
        silence = time.monotonic() - self._thread.heartbeat_answered
        return bool(silence < self.app.conf.broker_session_timeout)

    async def committed(self, tps: Collection[TP]) -> Mapping[TP, Committed | None]:
        """Return the committed offset of each partition; None if it has none."""
        return await self._thread.committed(tps)

    def start_at(self, starts: Mapping[TP, Start]) -> None:
        """Go on at these offsets instead of the committed ones, until the next assignment."""
        self._thread.starts = starts

    def _forget(self, tps: Iterable[TP]) -> None:
        for tp in tps:
            self._delivered.pop(tp, None)
            self._passed.pop(tp, None)
            self.commit_ages.forget(tp)


class RunTransport(driver.Transport):
    """Transport whose messages carry runs.

    Attributes
    ----------
    fetch_max_wait_seconds
        Longest time that a broker may hold an empty fetch, in seconds.
    """

    Consumer = RunConsumer
    fetch_max_wait_seconds: float = 0.5
