"""changelog: the owner of a partition puts right what another worker has written over its rows.

A worker that sleeps exactly between its check of ownership and its write wakes up and writes rows of a partition that
has moved. Kafka has no fence for it but transactions, which cost every run three more round trips. The new owner,
though, knows how far it has read and written: a changelog that ends later holds somebody else's rows, and what it has
in memory is right. It writes the rows of those keys again, behind the others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from state.rows import Position
from state.tables import CHANGE_BYTES, Change, RunTable
from streams import metrics
from streams.connections import kafka_options
from streams.sender import Record, Sender
from streams.settings import Settings

logger = logging.getLogger(__name__)

READ_SECONDS = 10.0
"""Longest time for reading what others wrote; it is tried again at the next look."""

Check = Callable[[], Awaitable[None]]
"""Raises when the partition is no longer ours."""


class ChangelogReader:
    """Looks at changelogs from outside the consumer group, with a client of its own once it is asked.

    Parameters
    ----------
    settings
        Where Kafka is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: AIOKafkaConsumer | None = None
        self._using = asyncio.Lock()

    async def ends(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """Offset that the next record of each partition will get."""
        async with self._using:
            consumer = await self._started()
            ends = await consumer.end_offsets([TopicPartition(*tp) for tp in partitions])
        return {TP(*tp): end for tp, end in ends.items()}

    async def keys(self, partition: TP, start: int, end: int) -> set[bytes]:
        """Keys written at offsets from ``start`` to before ``end``."""
        async with self._using, asyncio.timeout(READ_SECONDS):
            consumer = await self._started()
            place = TopicPartition(*partition)
            consumer.assign([place])
            consumer.seek(place, start)
            keys: set[bytes] = set()
            while await consumer.position(place) < end:
                fetched = await consumer.getmany(place, timeout_ms=1000)
                keys.update(record.key for record in fetched.get(place, ()) if record.offset < end)
            return keys

    async def stop(self) -> None:
        """Let go of Kafka."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **kafka_options(self._settings), enable_auto_commit=False, auto_offset_reset="earliest"
            )
            await consumer.start()
            self._consumer = consumer
        return self._consumer


class ChangelogWriter:
    """Writes rows of tables to their changelogs, one batch of a partition at a time.

    Parameters
    ----------
    sender
        Sends the batches.
    reader
        Reads what others wrote.
    """

    def __init__(self, sender: Sender, reader: ChangelogReader) -> None:
        self._sender = sender
        self._reader = reader
        self._writing: defaultdict[TP, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def write(self, table: RunTable, partition: int, change: Change, check: Check) -> None:
        """Write a change as one record batch, and let everybody see it once that is acknowledged.

        Raises
        ------
        Exception
            What ``check`` raises.
        """
        place = table.changelog_partition(partition)
        records = [Record(key, row) for key, row in change.records()]
        async with self._writing[place]:
            first = await self._sender.send_whole(*place, records)
            await check()
            change.apply(first)

    async def put_right(self, table: RunTable, partition: int, check: Check) -> None:
        """Write our rows again of all keys that the changelog holds behind what we know of.

        Raises
        ------
        Exception
            What ``check`` raises.
        """
        place = table.changelog_partition(partition)
        async with self._writing[place]:
            start, end = table.next_offset(partition), (await self._reader.ends([place]))[place]
            if end <= start:
                return
            keys = sorted(await self._reader.keys(place, start, end))
            await check()
            logger.warning(
                "Another worker wrote %d rows over ours in %s-%d; they are put right", len(keys), *place
            )
            rows = table.rows[partition]
            for records in _batches([Record(key, rows.get(key)) for key in keys]):
                first = await self._sender.send_whole(*place, records)
                if first != end:
                    # Written to once more in between: the next look finds it.
                    return
                end += len(records)
            await check()
            rows.write((), Position(end - 1, int(time.time() * 1000)))
            metrics.ROWS_PUT_RIGHT.labels(place.topic).inc(len(keys))


def _batches(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Divide records into batches that fit into a record batch of Kafka."""
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record.key or b"") + len(record.value or b"")
        if size >= CHANGE_BYTES // 2:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
