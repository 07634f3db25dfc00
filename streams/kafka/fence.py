"""The fence: each changelog partition has one writer, and the broker refuses all earlier writers.

The danger is a late batch. A worker checks that it owns a partition, and then sleeps before its batch reaches Kafka;
or the batch waits in a client that retries. Meanwhile the partition gets a new owner. The late batch would overwrite
newer rows with older ones, and no reader could tell.

Kafka can refuse such a batch. For a transactional id, it hands out a producer id with an epoch, and each request
raises the epoch by one. The leader of a partition refuses batches with a lower epoch than it has seen. A worker that
is assigned a partition therefore *claims* it: it requests the next epoch, and writes one record with it. An earlier
batch is then either in the log before that record, or never gets there. Recovery begins after the claim, so that it
reads every earlier batch in the log, and misses none.

One transactional id stands for one partition number of all tables, because the group assigns the changelog partitions
with the same number together. One id for each changelog partition would need as many connections. With 64 partitions,
the 256 claims took longer than the session timeout; the group then took the worker for dead, and everything began
anew.

Transactions themselves are not used. They would cost two more requests for each run. They would also leave control
records in the log, and Faust's recovery waits behind these for records that never come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import TransactionalIdAuthorizationFailed
from faust.types import TP

from afresh.state.errors import AfreshError
from afresh.state.store.marks import CLAIM_KEY
from afresh.streams.kafka.sender import FencedError, OutgoingRecord, Sender

logger = logging.getLogger(__name__)

NewProducer = Callable[[str | None], Awaitable[AIOKafkaProducer]]
"""Starts a producer with a transactional id; with None, an ordinary one."""


class Claims:
    """The changelog partitions that this process may write.

    Parameters
    ----------
    name
        First part of the transactional ids; no other app may use it.
    start
        Starts a producer.
    stop
        Stops a producer that is no longer needed.
    fenced
        Whether the broker knows epochs. If not, claims are only recorded in this process, and nothing is fenced.
    """

    def __init__(
        self, name: str, start: NewProducer, stop: Callable[[AIOKafkaProducer], None], *, fenced: bool
    ) -> None:
        self._name = name
        self._start = start
        self._stop = stop
        self._fenced = fenced
        self._producers: list[AIOKafkaProducer] = []
        self._senders: dict[TP, Sender] = {}

    async def renew(self, partitions: Collection[TP]) -> None:
        """Claim partitions after a rebalance, and give up all others.

        Partitions that were ours before are claimed again. The rebalance may have cut a run short whose batch is still
        on its way; it would land behind what recovery has read.

        Raises
        ------
        AfreshError
            When Kafka does not allow it.
        """
        for producer in self._producers:
            self._stop(producer)
        self._producers, self._senders = [], {}
        topics: dict[int, list[str]] = {}
        for tp in partitions:
            topics.setdefault(tp.partition, []).append(tp.topic)
        await asyncio.gather(*(self._claim(number, names) for number, names in topics.items()))

    def sender(self, topic: str, partition: int) -> Sender:
        """Return the sender of a claimed partition.

        Raises
        ------
        FencedError
            When the partition was not claimed.
        """
        try:
            return self._senders[TP(topic, partition)]
        except KeyError:
            raise FencedError(topic, partition) from None

    async def _claim(self, partition: int, topics: Sequence[str]) -> None:
        producer = await self._producer(f"{self._name}-{partition}" if self._fenced else None)
        self._producers.append(producer)
        sender = Sender(producer)
        if self._fenced:
            # It has its epoch now, and goes on as an idempotent producer. With a transactional id, it would refuse to
            # send outside a transaction.
            producer._txn_manager.transactional_id = None
            claim = [OutgoingRecord(CLAIM_KEY, None)]
            try:
                await asyncio.gather(*(sender.send_whole(topic, partition, claim) for topic in topics))
            except FencedError:
                logger.info("Another process has claimed partition %d in the meantime", partition)
                return
        self._senders |= {TP(topic, partition): sender for topic in topics}

    async def _producer(self, transactional_id: str | None) -> AIOKafkaProducer:
        try:
            return await self._start(transactional_id)
        except TransactionalIdAuthorizationFailed as error:
            raise AfreshError(
                f"Kafka does not allow the transactional id {transactional_id!r}; give the user of AFRESH_KAFKA "
                "the rights Write and Describe on transactional ids that begin with AFRESH_NAMESPACE."
            ) from error
