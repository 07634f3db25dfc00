"""At rest nobody asks Kafka without end, and who waits is answered at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from afresh.streams.connections import kafka_options
from afresh.streams.kafka.admin import create_topics
from afresh.streams.kafka.polls import SHORT_SECONDS, poll_long
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics
from tests.kafka.deployment import deployment, wait

LONGEST_SECONDS = 20.0
"""Longer than any answer of a broker takes: a fetch that nothing ends is followed by another one."""

REST_SECONDS = 4.0

Fetch = tuple[float, set[int]]
"""A fetch: the longest wait in seconds, and the partitions asked for."""


@pytest.fixture
def topics_made(settings: Settings) -> Settings:
    """Make the topics of a deployment, outside the event loop of a test."""
    create_topics(settings)
    return settings


@asynccontextmanager
async def watched(settings: Settings) -> AsyncIterator[tuple[AIOKafkaConsumer, list[Fetch]]]:
    """Read the topic of events; yield the client, and the list of the fetches that it has sent."""
    topic, fetches = Topics(settings).events, list[Fetch]()
    client = AIOKafkaConsumer(
        **kafka_options(settings), isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await client.start()
    send = client._client.send

    async def noted(node: int, request: Any, **options: Any) -> Any:
        if type(request).__name__ == "FetchRequest":
            asked = {partition for _, partitions in request.topics for partition, *_ in partitions}
            fetches.append((request._max_wait_ms / 1000, asked))
        return await send(node, request, **options)

    client._client.send = noted
    poll_long(client, LONGEST_SECONDS)
    client.assign([TopicPartition(topic.name, partition) for partition in range(topic.partitions)])
    try:
        yield client, fetches
    finally:
        await client.stop()


@asynccontextmanager
async def writing(settings: Settings, transactional_id: str | None = None) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(**kafka_options(settings), transactional_id=transactional_id)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def under_way(client: AIOKafkaConsumer, fetches: list[Fetch]) -> int:
    """Wait until the client has a long fetch under way; return how many it has sent."""
    while not (fetches and fetches[-1][0] == LONGEST_SECONDS and client._fetcher._in_flight):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.01)
    return len(fetches)


async def taken(client: AIOKafkaConsumer, *partitions: TopicPartition) -> list[bytes]:
    """Wait for records, of all partitions or of some, and return their values."""
    while not (found := await client.getmany(*partitions, timeout_ms=60_000)):
        pass
    return [record.value for records in found.values() for record in records]


async def test_a_long_fetch_is_answered_when_a_record_comes_and_when_a_transaction_is_committed(
    topics_made: Settings,
) -> None:
    settings, topic = topics_made, Topics(topics_made).events.name
    async with (
        watched(settings) as (client, fetches),
        writing(settings) as producer,
        writing(settings, f"{settings.namespace}-test") as transactional,
    ):
        sent = await under_way(client, fetches)
        await producer.send_and_wait(topic, b"1", partition=0)
        assert await taken(client) == [b"1"]
        assert [asked for _, asked in fetches[:sent]] == [{0, 1}] * sent
        async with transactional.transaction():
            await transactional.send_and_wait(topic, b"2", partition=1)
            sent = await under_way(client, fetches)
        assert await taken(client) == [b"2"]
        # One more may have begun behind the record, but no fetch came to its end without one.
        assert len(fetches) <= sent + 1


async def test_no_fetch_is_long_that_leaves_out_a_partition_whose_records_are_unread(
    topics_made: Settings,
) -> None:
    settings, topic = topics_made, Topics(topics_made).events.name
    other = TopicPartition(topic, 1)
    async with watched(settings) as (client, fetches), writing(settings) as producer:
        await under_way(client, fetches)
        await producer.send_and_wait(topic, b"unread", partition=0)
        for number in range(3):
            await producer.send_and_wait(topic, b"%d" % number, partition=1)
            assert await taken(client, other) == [b"%d" % number]
        while (SHORT_SECONDS, {1}) not in fetches:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
        await producer.send_and_wait(topic, b"behind it", partition=0)
        assert await taken(client) == [b"unread"]
        assert await taken(client) == [b"behind it"]
        await under_way(client, fetches)
    assert all((seconds == LONGEST_SECONDS) == (asked == {0, 1}) for seconds, asked in fetches)


@pytest.mark.timeout(300)
def test_a_worker_at_rest_asks_for_records_as_seldom_as_the_broker_may_hold_a_fetch(
    settings: Settings, tmp_path: Path
) -> None:
    with deployment(settings, tmp_path) as made, made.running(made.changed_worker("counting_worker")) as page:

        def fetches() -> int:
            return page.read().total("test_kafka_requests_total", kind="FetchRequest")

        # Its own changelogs hold unread records from now on.
        made.answer("ann", made.event("ann", "film"))
        wait(lambda: page.read().total("afresh_lag_records") == 0, "nothing to be left")
        before, began = fetches(), time.monotonic()
        time.sleep(REST_SECONDS)
        asked = fetches() - before
        # Two clients, one of them the Catalogue's. Some claims and rows may be written meanwhile.
        at_most = 2 * (time.monotonic() - began) / settings.fetch_max_wait_seconds + 20
        assert 0 < asked <= at_most
