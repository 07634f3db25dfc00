"""Inputs are read whole, up to an offset, beside the consumer group; on both brokers."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from afresh.streams.connections import kafka_options
from afresh.streams.kafka import inputs as module
from afresh.streams.kafka.admin import create_topics
from afresh.streams.kafka.inputs import KafkaInputs
from afresh.streams.kafka.rights import NotAllowedError, Right
from afresh.streams.settings import Settings
from afresh.streams.topics import INPUT_TOMBSTONES_MS, Topics


@pytest.fixture(params=["settings", "embedded_settings"])
def either(request: pytest.FixtureRequest) -> Settings:
    """Settings for the genuine Kafka and for the embedded broker, with five items in partition 1."""
    found: Settings = request.getfixturevalue(request.param)
    create_topics(found)
    producer = KafkaProducer(**kafka_options(found), enable_idempotence=found.idempotence)
    for number in range(5):
        producer.send(Topics(found).items.name, b"%d" % number, b"i%d" % number, partition=1).get(timeout=60)
    producer.close()
    return found


async def read(settings: Settings, partition: int, until: int | None = None) -> list[bytes]:
    async with KafkaInputs(settings).open(Topics(settings).items.name, partition) as opened:
        runs = opened.records(opened.end if until is None else until)
        return [record.key or b"" async for records in runs for record in records]


async def test_a_partition_is_read_from_its_beginning_to_an_offset(either: Settings) -> None:
    assert await read(either, 1) == [b"i%d" % number for number in range(5)]
    assert await read(either, 1, until=3) == [b"i0", b"i1", b"i2"]
    assert await read(either, 0) == []


async def test_it_is_known_what_the_group_has_committed_and_where_the_partition_ends(
    either: Settings,
) -> None:
    name = Topics(either).items.name
    consumer = KafkaConsumer(**kafka_options(either), group_id=either.namespace, enable_auto_commit=False)
    consumer.assign([TopicPartition(name, 1)])
    consumer.seek(TopicPartition(name, 1), 0)
    while not consumer.poll(timeout_ms=1000):
        pass
    consumer.commit()
    consumer.close()
    async with KafkaInputs(either).open(name, 1) as opened:
        assert (opened.committed, opened.end) == (5, 5)
    async with KafkaInputs(either).open(name, 0) as opened:
        assert (opened.committed, opened.end) == (0, 0)


async def test_the_time_that_tombstones_are_kept_is_that_of_the_topic(settings: Settings) -> None:
    await asyncio.to_thread(create_topics, settings)
    name = Topics(settings).items.name
    assert await KafkaInputs(settings).tombstones_ms(name) == INPUT_TOMBSTONES_MS
    admin = KafkaAdminClient(**kafka_options(settings))
    resource = ConfigResource(ConfigResourceType.TOPIC, name, configs={"delete.retention.ms": "1234"})
    admin.alter_configs([resource])
    admin.close()
    # The broker learns of it a moment later.
    while await KafkaInputs(settings).tombstones_ms(name) != 1234:
        pass


async def test_the_embedded_broker_tells_it_too(embedded_settings: Settings) -> None:
    await asyncio.to_thread(create_topics, embedded_settings)
    kept = await KafkaInputs(embedded_settings).tombstones_ms(Topics(embedded_settings).items.name)
    assert kept == INPUT_TOMBSTONES_MS


async def test_kafka_is_asked_again_while_it_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    failures = [KafkaConnectionError(), KafkaConnectionError()]

    async def ask() -> str:
        if failures:
            raise failures.pop()
        return "answer"

    assert await module.patiently(ask) == "answer"


async def test_a_right_that_is_missing_is_not_asked_for_again() -> None:
    failures = [TopicAuthorizationFailedError("test.items")]

    async def ask() -> str:
        raise failures.pop()

    with pytest.raises(NotAllowedError) as refused:
        await module.patiently(ask)
    assert refused.value.rights == (Right("Read", "topic", "test.items"),)


async def test_while_no_broker_is_ready_a_consumer_is_made_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(create_topics, settings)
    course: list[str] = []

    class Consumer(module.AIOKafkaConsumer):  # type: ignore[misc, name-defined]
        async def committed(self, place: TopicPartition) -> int | None:
            course.append("asked")
            assert len(course) > 3, "Did we not perform bootstrap?"
            found: int | None = await super().committed(place)
            return found

        async def stop(self) -> None:
            course.append("stopped")
            await super().stop()

    monkeypatch.setattr(module, "AIOKafkaConsumer", Consumer)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    async with KafkaInputs(settings).open(Topics(settings).items.name, 0) as opened:
        assert (opened.committed, opened.end) == (0, 0)
    assert course == ["asked", "stopped", "asked", "stopped", "asked", "stopped"]
