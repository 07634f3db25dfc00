"""Followers: a worker's own copies of small topics that everybody needs whole.

Faust's GlobalTable can hang in recovery with several workers, so a follower reads all partitions with a consumer
of its own, outside the group, from the beginning.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from afresh.streams.connections import kafka_options
from afresh.streams.settings import Settings

logger = logging.getLogger(__name__)

MAX_RECORDS = 2000
POLL_SECONDS = 1.0
RETRY_SECONDS = 1.0

APPLIED_AT_ONCE = 64
"""Records applied before others get their turn: some milliseconds of work."""

REST = 6.0
"""How much longer than it worked a follower rests: under load a row that changed ten times is applied once."""

SHORTEST_REST_SECONDS = 0.03
LONGEST_REST_SECONDS = 2.0

Latest = dict[bytes, bytes | None]
"""Newest value of each key of a poll; None for a deleted key."""

Apply = Callable[[Latest], None]


class Follower:
    """Applies the records of topics to something in memory, newest value of each key only.

    Parameters
    ----------
    settings
        Where Kafka is.
    topics
        What to do with the records of each topic.
    """

    def __init__(self, settings: Settings, topics: Mapping[str, Apply]) -> None:
        self._settings = settings
        self._topics = topics
        self.caught_up = asyncio.Event()
        """Set once everything that stood in the topics at the start has been applied."""

    async def run(self) -> None:
        """Follow until cancelled."""
        consumer = AIOKafkaConsumer(
            **kafka_options(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=int(self._settings.fetch_max_wait_seconds * 1000),
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        await consumer.start()
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
        except KafkaError as error:
            logger.warning("Following waits for Kafka: %r", error)
            await asyncio.sleep(RETRY_SECONDS)
            return
        latest: dict[str, Latest] = {}
        for tp, records in fetched.items():
            latest.setdefault(tp.topic, {}).update((record.key, record.value) for record in records)
        started = time.perf_counter()
        for topic, rows in latest.items():
            await self._apply(self._topics[topic], rows)
        if self.caught_up.is_set():
            rest = REST * (time.perf_counter() - started)
            await asyncio.sleep(min(max(rest, SHORTEST_REST_SECONDS), LONGEST_REST_SECONDS))

    async def _apply(self, apply: Apply, rows: Latest) -> None:
        items = list(rows.items())
        for start in range(0, len(items), APPLIED_AT_ONCE):
            apply(dict(items[start : start + APPLIED_AT_ONCE]))
            await asyncio.sleep(0)
