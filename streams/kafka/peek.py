"""Peek: reads a few records of a log, without a group."""

from __future__ import annotations

import time
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from afresh.streams.connections import kafka_options
from afresh.streams.settings import Settings

PEEK_SECONDS = 10.0
"""Longest time to read; what is not found by then is left out."""

POLL_MS = 200

FEW = 2
"""Records that are read of each range: more are not needed."""

Peeked = dict[TP, list[ConsumerRecord[bytes, bytes]]]


async def peek(settings: Settings, ranges: Mapping[TP, range]) -> Peeked:
    """Read the first two committed records within a range of offsets of each partition.

    Raises
    ------
    KafkaError
        If Kafka does not answer.
    """
    found: Peeked = {tp: [] for tp in ranges}
    if not ranges:
        return found
    consumer = AIOKafkaConsumer(
        **kafka_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        await _read(consumer, ranges, found)
    finally:
        await consumer.stop()
    return found


async def _read(consumer: AIOKafkaConsumer, ranges: Mapping[TP, range], found: Peeked) -> None:
    wanted = [TopicPartition(*tp) for tp in ranges]
    consumer.assign(wanted)
    for place in wanted:
        consumer.seek(place, ranges[TP(*place)].start)
    deadline = time.monotonic() + PEEK_SECONDS
    while wanted and time.monotonic() < deadline:
        for place, records in (await consumer.getmany(*wanted, timeout_ms=POLL_MS)).items():
            tp = TP(*place)
            found[tp] += [record for record in records if record.offset in ranges[tp]][:FEW]
        # Compaction and control records leave gaps, so that only the position tells the end of a range.
        wanted = [
            place
            for place in wanted
            if len(found[TP(*place)]) < FEW and await consumer.position(place) < ranges[TP(*place)].stop
        ]
