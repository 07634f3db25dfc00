"""Follower: keeps a worker's copy of compacted topics that every worker needs whole.

Faust's GlobalTable can hang in recovery when there are several workers. A follower therefore reads all partitions from
the beginning with its own consumer, outside the group.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

import afresh.streams.kafka.batches  # noqa: F401 - replaces how aiokafka takes batches apart
from afresh.state.errors import StartAgainError
from afresh.state.store.marks import OWN_KEYS
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.polls import poll_long
from afresh.streams.kafka.rights import refusal
from afresh.streams.kafka.sender import partition_of
from afresh.streams.settings import Settings

logger = logging.getLogger(__name__)

MAX_RECORDS = 2000
POLL_SECONDS = 1.0
RETRY_SECONDS = 1.0

APPLIED_AT_ONCE, BYTES_AT_ONCE = 64, 262_144
"""Records, and their bytes, applied before the event loop gets its turn: some milliseconds of work."""

REST = 6.0
"""Rest of a follower, as a multiple of its working time: under load, a row that changes ten times is applied once."""

SHORTEST_REST_SECONDS = 0.03
LONGEST_REST_SECONDS = 2.0

Latest = dict[bytes, bytes | None]
"""Newest value of each key in a poll; None for a deleted key."""

Apply = Callable[[Latest], None]


def newest(records: Sequence[ConsumerRecord[bytes, bytes]], partitions: int) -> Latest:
    """Return the newest value of each key among the records of a partition, in the order of these records.

    The order counts as in a compacted log: the last record of a version of the model comes behind its rows.
    Leaves out deletions in a partition that is not that of their key: 0.1.0 left rows there, which were moved. What
    was moved may have been read before. In a compacted topic, only a batch that nothing can unpack comes without a key;
    it is left out, too.
    """
    latest: Latest = {}
    for record in records:
        if record.key is not None and not _moved(record.key, record, partitions):
            # A key that is replaced in place would stay where its first record was.
            latest.pop(record.key, None)
            latest[record.key] = record.value
    return latest


def _moved(key: bytes, record: ConsumerRecord[bytes, bytes], partitions: int) -> bool:
    if record.value is not None or key in OWN_KEYS:
        return False
    return partition_of(key, partitions) != int(record.partition)


class Follower:
    """Applies the newest value of each key in some topics to data in memory.

    Parameters
    ----------
    settings
        Settings of the deployment.
    topics
        Function that applies the records of a topic, by the topic's name.
    still
        Held while records are applied; by default, nobody else holds it.

    Attributes
    ----------
    caught_up
        Set once everything that was in the topics at the start has been applied.
    """

    def __init__(
        self, settings: Settings, topics: Mapping[str, Apply], still: asyncio.Lock | None = None
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._still = still or asyncio.Lock()
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        consumer = AIOKafkaConsumer(
            **kafka_options(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        await consumer.start()
        poll_long(consumer, self._settings.fetch_max_wait_seconds)
        try:
            await self._follow(consumer)
        finally:
            await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        partitions = [
            TopicPartition(topic, partition)
            for topic in self._topics
            for partition in range(self._settings.partitions)
        ]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = {tp: end for tp, end in (await consumer.end_offsets(partitions)).items() if end > 0}
        while True:
            ends = {tp: end for tp, end in ends.items() if await consumer.position(tp) < end}
            if not ends:
                self.caught_up.set()
            await self._poll(consumer)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        timeout = POLL_SECONDS if self.caught_up.is_set() else 0.1
        try:
            fetched = await consumer.getmany(timeout_ms=int(timeout * 1000), max_records=MAX_RECORDS)
        except OffsetOutOfRangeError as error:
            raise StartAgainError(
                f"a followed topic has no longer what was read of it ({error}): it was cut short, or made again, while "
                "this process ran; start it again: then it reads the topic anew"
            ) from error
        except KafkaError as error:
            if (refused := refusal(error)) is not None:
                raise refused from error
            logger.warning(
                "Kafka does not serve the followed topics (%r); retrying in %s s", error, RETRY_SECONDS
            )
            await asyncio.sleep(RETRY_SECONDS)
            return
        latest: dict[str, Latest] = {}
        for tp, records in fetched.items():
            latest.setdefault(tp.topic, {}).update(newest(records, self._settings.partitions))
        worked = 0.0
        for topic, rows in latest.items():
            worked += await self._apply(self._topics[topic], rows)
        if self.caught_up.is_set():
            rest = REST * worked
            await asyncio.sleep(min(max(rest, SHORTEST_REST_SECONDS), LONGEST_REST_SECONDS))

    async def _apply(self, apply: Apply, rows: Latest) -> float:
        """Apply records; return the working time in seconds."""
        worked = 0.0
        for some in _portions(rows):
            async with self._still:
                started = time.perf_counter()
                apply(some)
                worked += time.perf_counter() - started
            await asyncio.sleep(0)
        return worked


def _portions(rows: Latest) -> Iterator[Latest]:
    """Divide records into portions that are applied at once."""
    portion: Latest = {}
    size = 0
    for key, value in rows.items():
        portion[key] = value
        size += len(value or b"")
        if len(portion) == APPLIED_AT_ONCE or size >= BYTES_AT_ONCE:
            yield portion
            portion, size = {}, 0
    if portion:
        yield portion
