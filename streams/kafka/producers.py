"""Producers besides Faust's own: started with retries, and stopped together with the app."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from afresh.streams.kafka.rights import refusal

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5

Make = Callable[[str | None], AIOKafkaProducer]
"""Makes a producer with a transactional id; with None, an ordinary one."""


class Producers:
    """The producers of one app.

    Parameters
    ----------
    make
        Makes a producer without starting it.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self._running: set[AIOKafkaProducer] = set()
        self._stopping: set[asyncio.Task[None]] = set()

    async def start(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        """Make a producer and start it; retry until Kafka lets it start.

        Raises
        ------
        NotAllowedError
            When our user lacks a right, such as that to the transactional id.
        """
        while True:
            try:
                return await self._try(transactional_id)
            # AssertionError: aiokafka asserts that it knows a broker, but a broker that has just started names none,
            # not even itself.
            except (KafkaError, AssertionError) as error:
                if (refused := refusal(error)) is not None:
                    raise refused from error
                logger.warning("A producer could not start (%r); retrying in %s s", error, RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)

    async def _try(self, transactional_id: str | None) -> AIOKafkaProducer:
        producer = self._make(transactional_id)
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._running.add(producer)
        return producer

    def drop(self, producer: AIOKafkaProducer) -> None:
        """Stop a producer in the background: its unsent records may have to wait for Kafka."""
        self._running.discard(producer)
        task = asyncio.create_task(producer.stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def stop(self) -> None:
        """Stop all producers, and wait for the dropped ones, too."""
        await asyncio.gather(*(producer.stop() for producer in self._running), *self._stopping)
