"""The thread that fetches from Kafka: it hands over the records of each partition as one message."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

import aiokafka
from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

PREFETCH_BACKOFF_SECONDS = 0.005
"""Wait of the fetcher for a node while one of its partitions has unread records; aiokafka waits 0.1 s."""


class RunConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that fetches: hands over the records of each partition as one message."""

    heartbeat_answered: float = float("-inf")
    """When the group last took us for a member, by the monotonic clock."""

    async def on_start(self) -> None:
        """Start the client, with its waits shortened."""
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
        """Seek every source partition to its committed offset, or to its start while none is committed."""
        return cast(Mapping[TP, int], await self.call_thread(self._seek_to_committed))

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        committed: Mapping[TP, int] = await consumer.seek_to_committed()
        # aiokafka leaves a partition without a committed offset where it stands. Records fetched before recovery was
        # complete are thrown away, so that after a crash before the first commit they would be lost.
        changelogs = self.app.tables.changelog_topics
        uncommitted = [tp for tp, offset in committed.items() if not offset and tp.topic not in changelogs]
        if uncommitted:
            await consumer.seek_to_beginning(*uncommitted)
        return committed

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust fixes 1.5 s: the long poll of an idle partition would hold up a partition just released.
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
