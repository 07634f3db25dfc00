"""Synthetic events for the benchmarks: the same every time, with users and items drawn by Zipf's law."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import cache
from itertools import count

import msgspec
import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from afresh.models.arrays import Integers

USERS = 10_000
ITEMS = 5_000
TYPES = ["view", "click", "add_to_cart", "purchase", "rating"]
TYPE_SHARES = [0.6, 0.25, 0.07, 0.05, 0.03]
START_MS = 1_750_000_000_000
STEP_MS = 60_000
"""Time from one event to the next. If events lay closer together, users would take more items within an hour than are
learned from."""

BATCH_BYTES = 500_000

Keyed = tuple[bytes, bytes]
"""Key and value of a record."""


def events(number: int, *, users: int = USERS, items: int = ITEMS, seed: int = 0) -> Iterator[Keyed]:
    """Yield events as the topic holds them, a minute apart: key ``platform:user``, value JSON."""
    random = np.random.default_rng(seed)
    types = random.choice(TYPES, number, p=TYPE_SHARES)
    columns = zip(_zipf(random, users, number), _zipf(random, items, number), types, count(), strict=False)
    for user, item, kind, position in columns:
        event = {
            "id": f"event-{seed}-{position}",
            "type": str(kind),
            "time": START_MS + position * STEP_MS,
            "user": f"user-{user}",
            "item": f"item-{item}",
            "platform": "web",
            "domain": "films",
        }
        yield f"web:user-{user}".encode(), msgspec.json.encode(event)


def items(number: int = ITEMS) -> Iterator[Keyed]:
    """Yield the items that the events name, as their topic holds them."""
    for each in range(number):
        item = {
            "id": f"item-{each}",
            "domain": "films",
            "title": f"Film {each}",
            "text": f"Genre {each % 18}",
        }
        yield f"item-{each}".encode(), msgspec.json.encode(item)


def _zipf(random: np.random.Generator, size: int, number: int) -> Integers:
    """Draw ranks below `size`; the probability of rank r is proportional to 1 / (r + 10)."""
    weights = 1.0 / (np.arange(size) + 10.0)
    return random.choice(size, number, p=weights / weights.sum())


def write(broker: str, topic: str, records: Iterator[Keyed]) -> int:
    """Append records to a topic, with the partitioner of Kafka's clients; return the number of records."""
    return asyncio.run(_write(broker, topic, records))


async def _write(broker: str, topic: str, records: Iterator[Keyed]) -> int:
    producer = AIOKafkaProducer(bootstrap_servers=broker, max_batch_size=BATCH_BYTES)
    await producer.start()
    try:
        partitions = sorted(await producer.partitions_for(topic))
        return await _write_batches(producer, topic, partitions, records)
    finally:
        await producer.stop()


async def _write_batches(
    producer: AIOKafkaProducer, topic: str, partitions: list[int], records: Iterator[Keyed]
) -> int:
    """Fill one batch for each partition; this takes a tenth of the time of a `send` for each record."""
    batches = {partition: producer.create_batch() for partition in partitions}
    # Cached, because hashing in Python costs more than all other work for a record.
    partition_of = cache(lambda key: DefaultPartitioner()(key, partitions, partitions))
    written = 0
    for key, value in records:
        partition = partition_of(key)
        if batches[partition].append(key=key, value=value, timestamp=None) is None:
            await producer.send_batch(batches[partition], topic, partition=partition)
            batches[partition] = producer.create_batch()
            batches[partition].append(key=key, value=value, timestamp=None)
        written += 1
    last = [await producer.send_batch(batch, topic, partition=p) for p, batch in batches.items()]
    await asyncio.gather(*last)
    return written
