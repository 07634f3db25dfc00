"""Inputs: compacted topics that strangers write, read outside the consumer group, a partition at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from afresh.streams.connections import kafka_options
from afresh.streams.kafka.rights import DESCRIBE_CONFIGS, TOPIC, NotAllowedError, Right, refusal
from afresh.streams.settings import Settings

T = TypeVar("T")

RETRY_SECONDS = 1.0
POLL_MS = 500

KAFKAS_TOMBSTONES_MS = 86_400_000
"""Default of ``delete.retention.ms``, for a broker that does not name it."""

logger = logging.getLogger(__name__)


class InputPartition(Protocol):
    """A partition of an input.

    Attributes
    ----------
    committed
        Offset that the workers' group has committed; 0 for none.
    end
        Offset behind the last record that may be read, when the partition was opened.
    """

    committed: int
    end: int

    def records(self, until: int) -> AsyncIterator[Sequence[ConsumerRecord[bytes, bytes]]]:
        """Read all records from the beginning to just before an offset."""
        ...


class Inputs(Protocol):
    """Reads inputs."""

    async def tombstones_ms(self, topic: str) -> int:
        """Return how long a topic keeps tombstones at least, in ms."""
        ...

    def open(self, topic: str, partition: int) -> AbstractAsyncContextManager[InputPartition]:
        """Open a partition."""
        ...


class KafkaInputs:
    """Reads inputs from Kafka, and asks again while Kafka does not answer.

    Parameters
    ----------
    settings
        Settings of the deployment.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def tombstones_ms(self, topic: str) -> int:
        """Return ``delete.retention.ms`` as the topic has it: an operator may have changed it."""
        return await patiently(lambda: self._ask_tombstones(topic))

    async def _ask_tombstones(self, topic: str) -> int:
        admin = AIOKafkaAdminClient(**kafka_options(self._settings))
        try:
            await admin.start()
            # No list of wanted keys: with one, Tansu 0.6 drops the connection.
            (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        finally:
            await admin.close()
        settings = {entry[0]: entry[1] for *_, entries in answer.resources for entry in entries}
        if not settings:
            # aiokafka does not look at the error in the answer.
            raise NotAllowedError("Kafka does not show settings", [Right(DESCRIBE_CONFIGS, TOPIC, topic)])
        return int(settings.get("delete.retention.ms") or KAFKAS_TOMBSTONES_MS)

    @asynccontextmanager
    async def open(self, topic: str, partition: int) -> AsyncIterator[KafkaInputPartition]:
        """Open a partition with a consumer of its own."""
        place = TopicPartition(topic, partition)
        consumer, committed = await self._start(place)
        try:
            ends = await patiently(lambda: consumer.end_offsets([place]))
            yield KafkaInputPartition(consumer, place, committed, ends[place])
        finally:
            await consumer.stop()

    async def _start(self, place: TopicPartition) -> tuple[AIOKafkaConsumer, int]:
        """Start a consumer of a partition; return it, and what the workers' group has committed."""
        while True:
            consumer = self._consumer()
            try:
                await patiently(consumer.start)
                consumer.assign([place])
                return consumer, await patiently(partial(consumer.committed, place)) or 0
            except AssertionError as error:
                # A broker that has just come back names no brokers, not even itself. aiokafka starts all the same, and
                # asserts at the first question that it knows one.
                await consumer.stop()
                logger.warning("No broker is ready yet (%s); trying again in %s s", error, RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)
            except BaseException:
                await consumer.stop()
                raise

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **kafka_options(self._settings),
            # Only to ask what the group has committed: a consumer that assigns its partitions never joins it.
            group_id=self._settings.namespace,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )


class KafkaInputPartition:
    """A partition of an input on Kafka.

    Parameters
    ----------
    consumer, place
        A started consumer to which the partition is assigned, and the partition.
    committed, end
        Offset that the workers' group has committed, and offset behind the last record.
    """

    def __init__(self, consumer: AIOKafkaConsumer, place: TopicPartition, committed: int, end: int) -> None:
        self.committed = committed
        self.end = end
        self._consumer = consumer
        self._place = place

    async def records(self, until: int) -> AsyncIterator[Sequence[ConsumerRecord[bytes, bytes]]]:
        """Read all records from the beginning to just before an offset."""
        consumer, place = self._consumer, self._place
        await patiently(lambda: consumer.seek_to_beginning(place))
        # The position also passes records that compaction has removed; the offset of a record may never come there.
        while await patiently(lambda: consumer.position(place)) < until:
            fetched = await patiently(lambda: consumer.getmany(place, timeout_ms=POLL_MS))
            for records in fetched.values():
                yield [record for record in records if record.offset < until]


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask Kafka until it answers: a worker that reads more than its partitions must not end because a broker does.

    Raises
    ------
    NotAllowedError
        If our user lacks a right.
    """
    while True:
        try:
            return await ask()
        except KafkaError as error:
            if (refused := refusal(error)) is not None:
                raise refused from error
            logger.warning(
                "Kafka does not answer a question about an input (%r); trying again in %s s",
                error,
                RETRY_SECONDS,
            )
            await asyncio.sleep(RETRY_SECONDS)
