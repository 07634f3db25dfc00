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

Kafka forgets. The coordinator forgets a transactional id ``transactional.id.expiration.ms`` after it handed out the
last epoch, and then hands out another producer id. Leaders never compare two producer ids, so they take whatever the
old one sends. A leader forgets a producer id ``producer.id.expiration.ms`` after the time of its last record in the
partition. It then takes every epoch of it, also an old one, and refuses the right one behind that.

So nobody writes with a claim whose *lease* is over, at half of the smaller time (``streams.kafka.lease``). While
anybody may write with a claim, Kafka thus knows what has replaced it. Each claim is *renewed* at a sixth to a third
of that time: the next epoch, and a record with it in each changelog partition, between two batches. This record must
follow right behind our last one. Otherwise somebody else has written rows that we do not know, and the worker ends,
to claim and read the partition again. A claim whose lease is over may therefore be renewed, too; its writers wait for
it.

What remains: a process that is frozen for half of that time (12 hours with Kafka's defaults) after it looked at its
lease and before its batch leaves; a clock of a worker or a broker that is wrong by as much, because leaders count
from the time in the record; and one claim in 32,767, for which Kafka changes the producer id. In all of these, a
worker still writes only after the group has answered.

Transactions themselves are not used. They would cost two more requests for each run. They would also leave control
records in the log, and Faust's recovery waits behind these for records that never come.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from faust.types import TP

from afresh.streams.kafka.claim import Claim
from afresh.streams.kafka.lease import Lease
from afresh.streams.kafka.limits import BatchLimits
from afresh.streams.kafka.sender import FencedError, Sender

logger = logging.getLogger(__name__)

EXPIRY_SECONDS = 86_400.0
"""Age at which Kafka forgets a claim by default: the smaller of the two settings."""

SHORT_SECONDS = 3_600.0
"""Expiry below which a batch that hangs could outlive its lease."""

LOOK_SECONDS = 60.0
"""Longest time between two looks for claims that are due."""

NewProducer = Callable[[str | None], Awaitable[AIOKafkaProducer]]
"""Starts a producer with a transactional id; with None, an ordinary one."""


class Held(NamedTuple):
    """The claims of one partition number, which share a producer and its epoch."""

    producer: AIOKafkaProducer
    lease: Lease
    claims: dict[TP, Claim]


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
    limits
        How large record batches may be; by default Kafka's own limit stands for each topic.
    fenced
        Whether the broker knows epochs. If not, claims are only recorded in this process, and nothing is fenced.

    Attributes
    ----------
    expiry_seconds
        Age at which Kafka may forget a claim; None if Kafka does not say, so that its defaults are assumed.
    """

    def __init__(
        self,
        name: str,
        start: NewProducer,
        stop: Callable[[AIOKafkaProducer], None],
        limits: BatchLimits | None = None,
        *,
        fenced: bool,
    ) -> None:
        self.expiry_seconds: float | None = None
        self._name = name
        self._start = start
        self._stop = stop
        self._limits = limits
        self._fenced = fenced
        self._held: dict[int, Held] = {}
        self._renewing: set[int] = set()

    async def renew(self, partitions: Collection[TP]) -> None:
        """Claim partitions after a rebalance, and give up all others.

        Partitions that were ours before are claimed again. The rebalance may have cut a run short whose batch is still
        on its way; it would land behind what recovery has read.

        Raises
        ------
        AfreshError
            When Kafka does not allow it.
        """
        for held in self._held.values():
            self._stop(held.producer)
            for claim in held.claims.values():
                claim.give_up()
        self._held = {}
        numbers: dict[int, list[TP]] = {}
        for tp in partitions:
            numbers.setdefault(tp.partition, []).append(tp)
        await asyncio.gather(*(self._claim(number, tps) for number, tps in numbers.items()))

    def sender(self, topic: str, partition: int) -> Claim:
        """Return the claim of a partition, which sends there.

        Raises
        ------
        FencedError
            When the partition was not claimed.
        """
        try:
            return self._held[partition].claims[TP(topic, partition)]
        except KeyError:
            raise FencedError(topic, partition) from None

    async def keep(self, ours: Callable[[], bool]) -> None:
        """Renew claims before Kafka forgets them, forever.

        Parameters
        ----------
        ours
            Whether the group confirms that the partitions are still ours. While it does not, nothing is renewed: it
            would take the partition from its new owner.

        Raises
        ------
        ExceptionGroup
            Of an error: FencedError when another process has written to a partition, or AfreshError when Kafka does
            not allow the claim. The process must end.
        """
        async with asyncio.TaskGroup() as renewals:
            while True:
                await asyncio.sleep(min(LOOK_SECONDS, self._expiry() / 30))
                for number, held in self._due() if ours() else ():
                    self._renewing.add(number)
                    renewals.create_task(self._renew(number, held, ours))

    def _expiry(self) -> float:
        return EXPIRY_SECONDS if self.expiry_seconds is None else self.expiry_seconds

    def report_expiry(self) -> None:
        """Say in the log after which time Kafka forgets claims, if that is not known or short."""
        if not self._fenced:
            return
        if self.expiry_seconds is None:
            logger.info(
                "Kafka does not say when it forgets claims (the right DescribeConfigs on the cluster may be missing); "
                "its default is assumed, %g s",
                EXPIRY_SECONDS,
            )
        elif self.expiry_seconds < SHORT_SECONDS:
            logger.warning(
                "Kafka forgets claims after %g s, so that it may take rows that come late; set its "
                "producer.id.expiration.ms and transactional.id.expiration.ms to a day or more",
                self.expiry_seconds,
            )

    def _due(self) -> Iterator[tuple[int, Held]]:
        for number, held in self._held.items():
            if held.lease.is_due() and number not in self._renewing:
                yield number, held

    async def _claim(self, number: int, tps: Collection[TP]) -> None:
        lease, producer = await self._next_epoch(number)
        sender = Sender(producer, self._limits)
        held = Held(producer, lease, {tp: Claim(tp, sender, lease) for tp in tps})
        if self._fenced:
            try:
                await asyncio.gather(*(claim.write() for claim in held.claims.values()))
            except FencedError:
                logger.info(
                    "Another process has claimed partition %d in the meantime",
                    number,
                    extra={"partition": number},
                )
                self._stop(producer)
                return
        self._held[number] = held

    async def _renew(self, number: int, held: Held, ours: Callable[[], bool]) -> None:
        """Renew the claims of a partition number, unless a rebalance comes in between."""
        lease, producer = await self._next_epoch(number)
        unused = producer
        try:
            if ours() and self._held.get(number) is held:
                sender = Sender(producer, self._limits)
                await asyncio.gather(*(claim.renew(sender, lease) for claim in held.claims.values()))
                if self._held.get(number) is held:
                    unused, self._held[number] = held.producer, Held(producer, lease, held.claims)
        except FencedError:
            if self._held.get(number) is held:
                raise
        finally:
            self._stop(unused)
            self._renewing.discard(number)

    async def _next_epoch(self, number: int) -> tuple[Lease, AIOKafkaProducer]:
        """Start a producer with the next epoch of a partition number."""
        if not self._fenced:
            return Lease(math.inf), await self._start(None)
        lease, name = Lease(self._expiry()), f"{self._name}-{number}"
        producer = await self._start(name)
        # It has its epoch now, and goes on as an idempotent producer. With a transactional id, it would refuse to send
        # outside a transaction.
        producer._txn_manager.transactional_id = None
        return lease, producer
