"""Collects the status of a deployment from Kafka, Redis, and the page of the worker on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from redis import RedisError

from afresh.deploy.clients import (
    SILENT_SECONDS,
    Offsets,
    begins_of,
    ends_of,
    places,
    read_records,
    redis_client,
    uncommitted,
)
from afresh.deploy.ledger.reading import PARTITION_ROW, agent_state_of
from afresh.deploy.status.model import newest_version
from afresh.deploy.status.status import Member, ModelStatus, Status, judged_by
from afresh.state.judged import kept as judged
from afresh.state.judged.kept import Kept
from afresh.state.lists import ListReader
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.admin import require_topics
from afresh.streams.kafka.patient import PatientAdmin
from afresh.streams.kafka.rights import needs
from afresh.streams.settings import Settings
from afresh.streams.stages import STAGES
from afresh.streams.topics import FIRST_PARTITION, Topic, Topics

TAIL = 2000
"""Records to read first from the end of a changelog. Few are enough: each run writes the partition row."""

PAGE_SECONDS = 2.0


def look(settings: Settings) -> Status:
    """Collect the status of a deployment.

    Raises
    ------
    AfreshError
        If Kafka does not answer, or if its topics or rows are wrong.
    """
    topics = Topics(settings)
    require_topics(settings, rights=needs(read=[topics.weights, topics.model]))
    with _clients(settings) as (admin, consumer):
        every = places(*topics.all())
        # High watermarks: whoever asks what waits must see what an open transaction holds up.
        begins, ends = begins_of(consumer, every), ends_of(consumer, every)
        read = [topics.named(name) for stage in STAGES for name in stage.sources]
        return Status(
            waiting=waiting(admin, settings.namespace, begins, ends, read),
            workers=workers(admin, settings.namespace, topics.interactions.name),
            dead_letters=sum(ends[each] - begins[each] for each in places(topics.dead_letters)),
            lists=lists(settings),
            ready=ready(settings),
            judged=judged_by(kept_by_judge(consumer, topics, begins, ends)),
            model=model(consumer, admin, settings, begins, ends),
        )


@contextmanager
def _clients(settings: Settings) -> Iterator[tuple[PatientAdmin, KafkaConsumer]]:
    admin = PatientAdmin(settings)
    consumer = KafkaConsumer(
        **kafka_options(settings), enable_auto_commit=False, check_crcs=False, metrics_enabled=False
    )
    try:
        yield admin, consumer
    finally:
        consumer.close()
        admin.close()


def waiting(
    admin: PatientAdmin, group: str, begins: Offsets, ends: Offsets, topics: Sequence[Topic]
) -> dict[str, int]:
    """Count the records of each topic that the group has not committed."""
    left = uncommitted(admin, group, places(*topics), ends, begins)
    return {topic.name: sum(left[each] for each in places(topic)) for topic in topics}


def workers(admin: PatientAdmin, group: str, topic: str) -> list[Member] | None:
    """List the members of the workers' group, each with the partitions of a topic that it holds; None if unknown."""
    try:
        described: dict[str, Any] = admin.ask(lambda client: client.describe_groups([group])).get(group, {})
    except ValueError:
        # The embedded broker answers with rights that kafka-python does not know, and it fails on them.
        return None
    return [
        Member(member["client_id"], member["client_host"].lstrip("/"), _assigned(member, topic))
        for member in described.get("members", [])
    ]


def _assigned(member: dict[str, Any], topic: str) -> list[int]:
    assignment = member.get("member_assignment") or {}
    found = assignment.get("assigned_partitions", []) if isinstance(assignment, dict) else []
    return sorted(number for each in found if each["topic"] == topic for number in each["partitions"])


def kept_by_judge(consumer: KafkaConsumer, topics: Topics, begins: Offsets, ends: Offsets) -> Kept | None:
    """Read what the worker that learns the weights keeps; None before it has learned.

    Raises
    ------
    RowVersionError
        If another version of this program wrote it.
    """
    place = TopicPartition(topics.weights.name, FIRST_PARTITION)
    state = newest_agent_state(consumer, place, begins[place], ends[place])
    return judged.unpack(state) if state else None


def newest_agent_state(consumer: KafkaConsumer, partition: TopicPartition, begin: int, end: int) -> bytes:
    """Return the newest agent state in a partition of a changelog; empty if there is none."""
    tail = TAIL
    while True:
        start = max(end - tail, begin)
        row = _newest_row(consumer, partition, start, end)
        if row is not None:
            return agent_state_of({PARTITION_ROW: row})
        if start <= begin:
            return b""
        tail *= 8


def _newest_row(consumer: KafkaConsumer, partition: TopicPartition, start: int, end: int) -> bytes | None:
    newest = None
    for record in read_records(consumer, partition, start, end, SILENT_SECONDS):
        if (record.key or PARTITION_ROW) == PARTITION_ROW:
            newest = record.value
    return newest


def model(
    consumer: KafkaConsumer, admin: PatientAdmin, settings: Settings, begins: Offsets, ends: Offsets
) -> ModelStatus:
    """Find the model that stands, and who makes it."""
    topics = Topics(settings)
    place = TopicPartition(topics.model.name, FIRST_PARTITION)
    found = newest_version(consumer, place, begins[place], ends[place])
    return ModelStatus(
        version=found.version,
        items=found.items,
        age_seconds=max(time.time() - found.version / 1000, 0.0) if found.version else 0.0,
        made_by=settings.model,
        workers=workers(admin, f"{settings.namespace}-model", topics.model_lease.name),
    )


def lists(settings: Settings) -> int | None:
    """Count the users' lists in Redis; None if Redis does not answer."""
    try:
        with redis_client(settings) as redis:
            return ListReader(redis, settings.namespace).count_users()
    except RedisError:
        return None


def ready(settings: Settings) -> str | None:
    """Return what the worker on this machine says on its page ``/ready``; None if there is no such page."""
    # Not urllib: with http_proxy set, it would ask the proxy for the page of this very machine.
    connection = HTTPConnection(settings.metrics_host, settings.metrics_port, timeout=PAGE_SECONDS)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().read().decode(errors="replace").strip()
    except (HTTPException, OSError):
        return None
    finally:
        connection.close()
