"""What the tools that look at a deployment ask of Redis and Kafka alike."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from redis import Redis

from afresh.state.errors import AfreshError
from afresh.streams.connections import redis_options
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic

POLL_MS = 500

COORDINATOR_SECONDS = 30.0
"""Longest wait for the coordinator of a group, which reads up on it when Kafka has just started or come back."""

COORDINATOR_POLL_SECONDS = 0.2

Offsets = dict[TopicPartition, int]


@contextmanager
def redis_client(settings: Settings) -> Iterator[Redis]:
    """Open a client that does not wait for ever."""
    wait = settings.start_timeout_seconds
    with Redis.from_url(
        **redis_options(settings), socket_timeout=wait, socket_connect_timeout=wait
    ) as client:
        yield client


def places(*topics: Topic) -> list[TopicPartition]:
    """Partitions of topics."""
    return [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]


def uncommitted(
    admin: KafkaAdminClient,
    group: str,
    wanted: Collection[TopicPartition],
    ends: Mapping[TopicPartition, int],
    begins: Mapping[TopicPartition, int] | None = None,
) -> Offsets:
    """Count the records of partitions that a consumer group has not committed.

    Parameters
    ----------
    admin, group
        Whom to ask, and for which group.
    wanted
        The partitions.
    ends, begins
        Where they end, and where they begin; from 0 on unless told.

    Raises
    ------
    KafkaError
        When Kafka does not say.
    """
    committed = _committed(admin, group, wanted)
    found: Offsets = {}
    for place in wanted:
        done = committed[place].offset if place in committed else -1
        found[place] = max(ends[place] - max(done, begins[place] if begins else 0), 0)
    return found


def _committed(admin: KafkaAdminClient, group: str, wanted: Collection[TopicPartition]) -> dict[Any, Any]:
    deadline = time.monotonic() + COORDINATOR_SECONDS
    while True:
        try:
            return dict(admin.list_group_offsets({group: list(wanted)}).get(group, {}))
        except KafkaError as error:
            if not error.retriable or time.monotonic() > deadline:
                raise
        time.sleep(COORDINATOR_POLL_SECONDS)


def read_records(
    consumer: KafkaConsumer, place: TopicPartition, begin: int, end: int, patience_seconds: float
) -> Iterator[Any]:
    """Records of a partition in their order, from one offset to before another.

    Raises
    ------
    AfreshError
        When Kafka keeps silent for longer than ``patience_seconds``.
    """
    consumer.assign([place])
    consumer.seek(place, begin)
    heard = time.monotonic()
    # Compaction may have taken the last records: the position reaches the end also without them.
    while (consumer.position(place) or 0) < end:
        polled: list[Any] = consumer.poll(timeout_ms=POLL_MS).get(place, [])
        if polled:
            heard = time.monotonic()
        elif time.monotonic() - heard > patience_seconds:
            raise AfreshError(f"Kafka stopped answering while {place.topic} was read; try again")
        yield from (record for record in polled if record.offset < end)
