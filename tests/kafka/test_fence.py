"""On the genuine Kafka: after another worker has claimed a partition, the old owner's rows never reach the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from afresh.state.rows import users
from afresh.state.rows.users import UserRow
from afresh.state.store.marks import CLAIM_KEY
from afresh.state.store.rows import TOMBSTONES_MS
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.fence import Claims
from afresh.streams.kafka.sender import FencedError, OutgoingRecord
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings, tmp_path) as made:
        yield made


class Producers:
    """Starts producers, and stops them all."""

    def __init__(self, made: Deployment) -> None:
        self._brokers = made.settings.brokers
        self._started: list[AIOKafkaProducer] = []

    async def start(self, transactional_id: str | None) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._brokers, transactional_id=transactional_id, acks="all"
        )
        await producer.start()
        self._started.append(producer)
        return producer

    async def stop(self) -> None:
        for producer in self._started:
            await producer.stop()


async def test_kafka_refuses_the_rows_of_a_worker_after_another_has_claimed_its_partition(
    made: Deployment,
) -> None:
    producers = Producers(made)
    topic = made.topics.users.name
    sleeper, owner = (
        Claims(made.settings.namespace, producers.start, lambda _: None, fenced=True) for _ in range(2)
    )
    await sleeper.renew([TP(topic, 0), TP(topic, 1)])
    await sleeper.sender(topic, 0).send_whole(topic, 0, [OutgoingRecord(b"ann", b"old")])
    await owner.renew([TP(topic, 0)])
    with pytest.raises(FencedError):
        await sleeper.sender(topic, 0).send_whole(topic, 0, [OutgoingRecord(b"ann", b"stale")])
    await owner.sender(topic, 0).send_whole(
        topic, 0, [OutgoingRecord(b"ann", b"new"), OutgoingRecord(b"bob", b"new")]
    )
    with pytest.raises(FencedError):
        await sleeper.sender(topic, 0).send_whole(topic, 0, [OutgoingRecord(b"bob", b"stale")])
    await sleeper.sender(topic, 1).send_whole(topic, 1, [OutgoingRecord(b"cid", b"kept")])
    await producers.stop()
    found = {(each.partition, each.key, each.value) for each in made.records(made.topics.users)}
    assert found == {
        (0, CLAIM_KEY, None),
        (1, CLAIM_KEY, None),
        (0, b"ann", b"old"),
        (0, b"ann", b"new"),
        (0, b"bob", b"new"),
        (1, b"cid", b"kept"),
    }


def alter(made: Deployment, **config: str) -> None:
    """Change settings of the users' changelog, and let the broker compact often."""
    named = {name.replace("_", "."): value for name, value in config.items()}
    admin = KafkaAdminClient(**kafka_options(made.settings))
    try:
        topic = ConfigResource(ConfigResourceType.TOPIC, made.topics.users.name, configs=named)
        broker = ConfigResource(ConfigResourceType.BROKER, "1", configs={"log.cleaner.backoff.ms": "500"})
        admin.alter_configs([topic, broker])
    finally:
        admin.close()


async def test_a_worker_recovers_a_changelog_whose_claims_kafka_has_compacted_away(made: Deployment) -> None:
    """Recovery waits for the last record. It is always there: Kafka never compacts the segment that it writes to."""
    small = {"segment_ms": "500", "min_cleanable_dirty_ratio": "0.01", "max_compaction_lag_ms": "500"}
    alter(made, delete_retention_ms="0", **small)
    partition, producers = TP(made.topics.users.name, 0), Producers(made)
    claims = Claims(made.settings.namespace, producers.start, lambda _: None, fenced=True)
    await claims.renew([partition])
    await claims.sender(*partition).send_whole(
        *partition, [OutgoingRecord(b"web:ann", users.pack(UserRow()))]
    )
    claimed = 1

    async def offsets() -> list[int]:
        found = await asyncio.to_thread(made.records, made.topics.users)
        return [each.offset for each in found if each.partition == partition.partition]

    while not 0 < len(left := await offsets()) <= claimed // 2 or claimed < 6:
        assert claimed < 60, f"nothing was compacted: {left}"
        await asyncio.sleep(1.0)
        await claims.renew([partition])
        claimed += 1
    await asyncio.sleep(5.0)
    assert (await offsets())[-1] == claimed
    await producers.stop()
    alter(made, delete_retention_ms=str(TOMBSTONES_MS), **small)
    with made.running(made.process()):
        pass
