"""Producers beside Faust's own: each starts as soon as Kafka gives one, and all stop with the app."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, TransactionalIdAuthorizationFailed

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5

Make = Callable[[str | None], AIOKafkaProducer]
"""Makes a producer of a transactional id; of None: an ordinary one."""


class Producers:
    """Producers of one app.

    Parameters
    ----------
    make
        Makes a producer that is not started yet.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self._running: set[AIOKafkaProducer] = set()
        self._stopping: set[asyncio.Task[None]] = set()

    async def start(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        """Start a producer as soon as Kafka gives one.

        Raises
        ------
        TransactionalIdAuthorizationFailed
            When Kafka does not allow us the transactional id.
        """
        while True:
            try:
                return await self._try(transactional_id)
            except TransactionalIdAuthorizationFailed:
                raise
            # aiokafka asserts that it knows a broker; one that is only just up names none, not even itself.
            except (KafkaError, AssertionError) as error:
                logger.warning("Kafka gives no producer (%r); again in %s s", error, RETRY_SECONDS)
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
        """Stop a producer without waiting for it: what it has not sent yet may take as long as Kafka does."""
        self._running.discard(producer)
        task = asyncio.create_task(producer.stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def stop(self) -> None:
        """Stop all, those dropped too."""
        await asyncio.gather(*(producer.stop() for producer in self._running), *self._stopping)
