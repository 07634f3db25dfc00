"""Queries to Redis and Kafka that several tools share."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from redis import Redis

from afresh.state.errors import UnavailableError
from afresh.state.store.marks import UNKNOWN
from afresh.streams import redis_url
from afresh.streams.connections import kafka_options, redis_options
from afresh.streams.kafka.admin import incarnations_of
from afresh.streams.kafka.patient import PatientAdmin
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic

POLL_MS = 500

LEADER_SECONDS = 30.0
"""Longest wait for a partition to have a leader. An election takes seconds."""

SILENT_SECONDS = 10.0
"""Longest wait for the next record of a read; after it, Kafka counts as silent."""

Offsets = dict[TopicPartition, int]


@contextmanager
def redis_client(settings: Settings) -> Iterator[Redis]:
    """Open a client whose requests have a timeout."""
    wait = settings.start_timeout_seconds
    with redis_url.client(
        **redis_options(settings), socket_timeout=wait, socket_connect_timeout=wait
    ) as client:
        yield client


def places(*topics: Topic) -> list[TopicPartition]:
    """List all partitions of some topics."""
    return [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]


def reader(settings: Settings, **more: Any) -> KafkaConsumer:
    """Make a consumer that reads committed records from their beginning, and belongs to no group.

    Parameters
    ----------
    settings
        Settings of the deployment.
    more
        More arguments of the consumer.
    """
    return KafkaConsumer(
        **kafka_options(settings),
        bootstrap_timeout_ms=int(settings.start_timeout_seconds * 1000),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        # Checksums in Python take nine tenths of the time, and the broker has already checked them.
        check_crcs=False,
        metrics_enabled=False,
        **more,
    )


def begins_of(consumer: KafkaConsumer, wanted: Collection[TopicPartition]) -> Offsets:
    """Return the first offset of each partition; see ``ends_of``."""
    return _offsets(consumer.beginning_offsets, wanted)


def ends_of(consumer: KafkaConsumer, wanted: Collection[TopicPartition]) -> Offsets:
    """Return the end offset of each partition.

    Raises
    ------
    UnavailableError
        If some partitions have no leader for long.
    KafkaError
        If Kafka does not answer, or refuses.
    """
    return _offsets(consumer.end_offsets, wanted)


def _offsets(ask: Callable[[list[TopicPartition]], Offsets], wanted: Collection[TopicPartition]) -> Offsets:
    deadline = time.monotonic() + LEADER_SECONDS
    while True:
        # kafka-python 3.0 asks for no partition whose leader it does not know, as while leaders change, asks who leads,
        # and misses their offsets in the answer.
        with suppress(KeyError):
            return ask(list(wanted))
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"some partitions of {', '.join(sorted({each.topic for each in wanted}))} have no leader for "
                f"{LEADER_SECONDS:g} s; look whether all brokers run, and try again"
            )
        time.sleep(POLL_MS / 1000)


def uncommitted(
    admin: PatientAdmin,
    group: str,
    wanted: Collection[TopicPartition],
    ends: Mapping[TopicPartition, int],
    begins: Mapping[TopicPartition, int] | None = None,
) -> Offsets:
    """Count the records of partitions that a consumer group has not committed.

    Parameters
    ----------
    admin, group
        The client to ask with, and the consumer group.
    wanted
        The partitions.
    ends, begins
        End offset and first offset of each partition; without ``begins`` every partition begins at 0.

    Raises
    ------
    KafkaError
        If Kafka does not answer, or refuses.
    """
    committed = admin.ask(lambda client: client.list_group_offsets({group: list(wanted)})).get(group, {})
    incarnations = incarnations_of(admin, sorted({partition.topic for partition in wanted}))
    found: Offsets = {}
    for partition in wanted:
        done = _done(committed.get(partition), ends[partition], incarnations.get(partition.topic, UNKNOWN))
        found[partition] = max(ends[partition] - max(done, begins[partition] if begins else 0), 0)
    return found


def _done(committed: Any, end: int, incarnation: int) -> int:
    """Return the committed offset; -1 if there is none, or if it is one of a topic that was made again since."""
    if committed is None or committed.offset > end:
        return -1
    noted = int(committed.metadata) if (committed.metadata or "").isdecimal() else UNKNOWN
    return -1 if UNKNOWN != noted != incarnation != UNKNOWN else int(committed.offset)


def read_records(
    consumer: KafkaConsumer, partition: TopicPartition, begin: int, end: int, patience_seconds: float
) -> Iterator[Any]:
    """Read the records of a partition in order, from offset ``begin`` to just before ``end``.

    Raises
    ------
    UnavailableError
        If Kafka sends no record for longer than ``patience_seconds``.
    """
    consumer.assign([partition])
    consumer.seek(partition, begin)
    heard = time.monotonic()
    # Compaction may have removed the last records. The position still reaches the end; a record's offset may not.
    while (consumer.position(partition) or 0) < end:
        polled: list[Any] = consumer.poll(timeout_ms=POLL_MS).get(partition, [])
        if polled:
            heard = time.monotonic()
        elif time.monotonic() - heard > patience_seconds:
            raise UnavailableError(
                f"Kafka stopped sending records while {partition.topic} was read; try again, and ask for a higher "
                "quota where Kafka throttles this client"
            )
        yield from (record for record in polled if record.offset < end)


def read_whole(consumer: KafkaConsumer, wanted: Collection[TopicPartition]) -> Iterator[Any]:
    """Read all records of some partitions, up to where each ends at the beginning; errors as of ``read_records``."""
    begins, ends = begins_of(consumer, wanted), ends_of(consumer, wanted)
    for each in wanted:
        yield from read_records(consumer, each, begins[each], ends[each], SILENT_SECONDS)
