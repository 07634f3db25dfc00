"""The thread that fetches from Kafka, and hands over the records of each partition as one message."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

import aiokafka
from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

PREFETCH_BACKOFF_SECONDS = 0.005
"""Wait of the fetcher for a broker while one of its partitions has unread records; aiokafka's default is 0.1 s."""


class RunConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's fetching thread, changed so that the records of each partition become one message: a run."""

    heartbeat_answered: float = float("-inf")
    """When the group last confirmed our membership, monotonic, in seconds."""

    async def on_start(self) -> None:
        """Start the client with shorter waits."""
        await super().on_start()
        consumer = self._ensure_consumer()
        consumer._fetcher._prefetch_backoff = PREFETCH_BACKOFF_SECONDS
        self._note_heartbeats(consumer._coordinator)

    def _note_heartbeats(self, coordinator: Any) -> None:
        heartbeat = coordinator._do_heartbeat

        async def noted() -> bool:
            answered = await heartbeat()
            if answered:
                self.heartbeat_answered = time.monotonic()
            return bool(answered)

        coordinator._do_heartbeat = noted

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every source partition to its committed offset, or to its beginning if it has none."""
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
        return committed

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust's value is fixed at 1.5 s: the long poll of an idle partition would delay one that was just released.
        consumer._fetch_max_wait_ms = int(cast(Any, transport).fetch_max_wait_seconds * 1000)
        return consumer

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> dict[TP, list[ConsumerRecord[None, Any]]]:
        fetched = await super()._fetch_records(*args, **kwargs)
        return {tp: [_as_run(records)] for tp, records in fetched.items() if records}


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
