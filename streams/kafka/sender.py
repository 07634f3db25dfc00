"""Senders: send outgoing records in batches, and wait until Kafka has acknowledged each batch.

Faust needs about 400 µs to send one record; aiokafka's batches need about 4 µs for each record.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerClosed,
    ProducerFenced,
)
from aiokafka.partitioner import murmur2

from afresh.state.errors import AfreshError
from afresh.streams import metrics
from afresh.streams.kafka.lease import Lease
from afresh.streams.kafka.limits import BatchLimits
from afresh.streams.kafka.rights import WRITE, refusal

logger = logging.getLogger(__name__)

RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)

FRAMING_BYTES = 40
"""Upper bound on what a batch adds to the key and the value of a record, and to each header."""


class FencedError(Exception):
    """The partition was claimed anew, by this process or another; a sender of an earlier claim must not write there.

    Also raised when that cannot be ruled out, because the claim is too old. A signal to the writer, which drops the run
    or claims again. It is not an AfreshError, because there is nothing for a person to mend.
    """

    def __init__(self, topic: str, partition: int, reason: str = "was claimed anew") -> None:
        super().__init__(f"{topic}-{partition} {reason}")


class OutgoingRecord(NamedTuple):
    """A record to send; the value None deletes the key in a compacted topic."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()

    @property
    def size(self) -> int:
        """Upper bound on its size in a batch, in bytes."""
        size = len(self.key or b"") + len(self.value or b"") + FRAMING_BYTES
        for name, value in self.headers:
            size += len(name.encode()) + len(value) + FRAMING_BYTES
        return size


class Outgoing:
    """Records to send, collected in their order for each partition.

    Attributes
    ----------
    batches
        Records by topic and partition.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self.batches: defaultdict[tuple[str, int], list[OutgoingRecord]] = defaultdict(list)

    @classmethod
    def together(cls, group: Sequence[Outgoing]) -> Outgoing:
        """Merge several collections; the records of each stay in order."""
        if len(group) == 1:
            return group[0]
        merged = cls(group[0]._partitions)
        for outgoing in group:
            for target, records in outgoing.batches.items():
                merged.batches[target] += records
        return merged

    def add_keyed(self, topic: str, key: bytes, value: bytes | None) -> None:
        """Add a record to the partition that its key hashes to."""
        self.batches[topic, partition_of(key, self._partitions)].append(OutgoingRecord(key, value))

    def add_to_partition(self, topic: str, partition: int, record: OutgoingRecord) -> None:
        """Add a record to a partition of the caller's choice."""
        self.batches[topic, partition].append(record)


@lru_cache(maxsize=262_144)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key, as Kafka's own clients choose it (murmur2), so that all producers agree.

    Examples
    --------
    >>> partition_of(b"web:ann", 4)
    1
    """
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


class Sender:
    """Sends batches, and retries until Kafka has acknowledged them.

    Batches of one partition go one after the other: each is acknowledged before the next leaves. Otherwise a retry
    could put an earlier batch behind a later one, and the receiver's marks would drop it as already counted.

    Parameters
    ----------
    producer
        A started producer.
    limits
        How large record batches may be; by default Kafka's own limit stands for each topic.
    """

    def __init__(self, producer: AIOKafkaProducer, limits: BatchLimits | None = None) -> None:
        self._producer = producer
        self._limits = limits or BatchLimits()

    async def send(self, outgoing: Outgoing) -> None:
        """Send all collected records; return when every record is acknowledged.

        Raises
        ------
        AfreshError
            When Kafka refuses a batch for good, for example because of missing rights or of its size.
        """
        await asyncio.gather(
            *(
                self._send_in_order(topic, partition, records)
                for (topic, partition), records in outgoing.batches.items()
            )
        )

    async def _send_in_order(self, topic: str, partition: int, records: Sequence[OutgoingRecord]) -> None:
        sent = 0
        while sent < len(records):
            count, _ = await self._retry(topic, partition, records, sent)
            sent += count

    async def send_whole(
        self, topic: str, partition: int, records: Sequence[OutgoingRecord], lease: Lease | None = None
    ) -> int:
        """Send records as exactly one record batch, which Kafka appends whole or not at all.

        Parameters
        ----------
        topic, partition, records
            What to send, and where.
        lease
            Once it is over, nothing is sent, not even again.

        Returns
        -------
        Offset of the first record. It is negative if Kafka does not report it, which can happen when an earlier try
        had already succeeded.

        Raises
        ------
        AfreshError
            When the records do not fit into one batch, or Kafka refuses it for good.
        FencedError
            When the partition was claimed anew, or the lease is over.
        """
        _, first = await self._retry(topic, partition, records, 0, len(records), lease)
        return first

    async def _retry(
        self,
        topic: str,
        partition: int,
        records: Sequence[OutgoingRecord],
        start: int,
        least: int = 1,
        lease: Lease | None = None,
    ) -> tuple[int, int]:
        """Send one batch until Kafka takes it; return its number of records, and the offset of the first one."""
        attempt = 0
        while True:
            if lease is not None and lease.is_over():
                raise FencedError(topic, partition, "was claimed too long ago")
            batch, count = self._fill(topic, records, start, least)
            try:
                delivered = await self._producer.send_batch(batch, topic, partition=partition)
                acknowledged = await delivered
            except (ProducerClosed, ProducerFenced) as error:
                raise FencedError(topic, partition) from error
            except MessageSizeTooLargeError as error:
                raise self._limits.too_large(topic, batch.size()) from error
            except KafkaError as error:
                if not (error.retriable or isinstance(error, KafkaTimeoutError)):
                    if (refused := refusal(error, topic=WRITE)) is not None:
                        raise refused from error
                    raise AfreshError(f"Kafka refuses records for {topic}: {error!r}.") from error
                wait = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
                metrics.SEND_RETRIES.labels(topic).inc()
                logger.warning(
                    "Kafka did not take %d records for %s (%r); retrying in %s s",
                    *(count, topic, error, wait),
                    extra={"topic": topic, "partition": partition, "records": count},
                )
                await asyncio.sleep(wait)
                attempt += 1
            else:
                return count, acknowledged.offset

    def _fill(self, topic: str, records: Sequence[OutgoingRecord], start: int, least: int) -> tuple[Any, int]:
        batch, filled = self._producer.create_batch(), self._limits.filled(topic)
        count = 0
        for record in records[start:]:
            if count >= least and batch.size() + record.size > filled:
                break
            batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
            count += 1
        if not self._limits.takes(topic, batch.size()):
            raise self._limits.too_large(topic, batch.size())
        return batch, count


class GroupSender:
    """Sends the records of several runs together.

    A sender sends one batch to a partition at a time, and runs of different partitions send to the same partitions.
    Without grouping, each run would wait for all others, one round trip each.

    Parameters
    ----------
    sender
        Sends the groups.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._waiting: list[tuple[Outgoing, asyncio.Future[None]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def send(self, outgoing: Outgoing) -> None:
        """Send all collected records, together with those of other callers; return when they are acknowledged.

        Raises
        ------
        AfreshError
            When Kafka refuses a batch of the group for good.
        """
        if not outgoing.batches:
            return
        acknowledged = asyncio.get_running_loop().create_future()
        self._waiting.append((outgoing, acknowledged))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_groups())
        await acknowledged

    async def _send_groups(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            error: Exception | None = None
            try:
                await self._sender.send(Outgoing.together([outgoing for outgoing, _ in group]))
            except Exception as failed:
                error = failed
            for _, acknowledged in group:
                if acknowledged.done():
                    continue
                if error is None:
                    acknowledged.set_result(None)
                else:
                    acknowledged.set_exception(error)
