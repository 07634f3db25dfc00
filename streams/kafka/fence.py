"""The fence: one writer for each partition of a changelog, and a broker that refuses all who wrote there before.

A worker can sleep between the moment when it makes sure that a partition is its own and the moment when its batch
reaches Kafka, and a batch can hang in a client that tries it again and again; meanwhile the partition has a new
owner. Such a batch would put old rows over newer ones, and no reader could tell.

Kafka itself knows how to refuse it. For a transactional id it gives out a producer id together with an epoch, one
higher each time somebody asks, and the leader of a partition refuses the batches of a lower epoch than it has seen.
So whoever is assigned a partition *claims* it: asks for the next epoch, and writes one record with it. What was
under way before is then either in the log, in front of that record, or never gets there; recovery begins after the
claim, so that it reads all of the former and nothing is missing.

One transactional id stands for a partition of all tables: the group assigns their changelogs' partitions of one number
together. An id for each would need as many connections, and with 64 partitions their 256 claims took longer than the
session timeout, after which the group took the worker for dead and everything began anew.

Transactions themselves are not used. They would cost two more requests a run, and leave marks in the log, behind which
Faust's recovery waits for records that never come.
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
"""Starts a producer of a transactional id; of None: an ordinary one."""


class Claims:
    """The partitions of changelogs that this process may write.

    Parameters
    ----------
    name
        First part of the transactional ids, shared with no other tables.
    start
        Starts a producer.
    stop
        Told of producers that are needed no longer.
    fenced
        Whether the broker knows epochs; without them, claims are only kept in mind.
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

        Those that were ours before are claimed again: a batch of a run that the rebalance cut short may still be on
        its way, and would land on top of what recovery has read.

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
        """Who writes to a partition that was claimed.

        Raises
        ------
        FencedError
            When it was not.
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
            # With the epoch given, it goes on as an idempotent producer: see the module for why.
            producer._txn_manager.transactional_id = None
            claim = [OutgoingRecord(CLAIM_KEY, None)]
            try:
                await asyncio.gather(*(sender.send_whole(topic, partition, claim) for topic in topics))
            except FencedError:
                logger.info("Somebody else has claimed partition %d meanwhile", partition)
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
