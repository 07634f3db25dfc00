"""On the genuine Kafka: what a worker writes after another has claimed its partition never reaches the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP

from state.marks import CLAIM_KEY
from streams.fence import Claims
from streams.sender import FencedError, Record
from streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings, tmp_path) as made:
        yield made


async def test_kafka_refuses_rows_of_a_worker_whose_partition_was_claimed_by_another(
    made: Deployment,
) -> None:
    started: list[AIOKafkaProducer] = []

    async def start(transactional_id: str | None) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=made.settings.brokers, transactional_id=transactional_id, acks="all"
        )
        await producer.start()
        started.append(producer)
        return producer

    topic = made.topics.users.name
    sleeper, owner = (Claims(made.settings.namespace, start, lambda _: None, fenced=True) for _ in range(2))
    await sleeper.renew([TP(topic, 0), TP(topic, 1)])
    await sleeper.sender(topic, 0).send_whole(topic, 0, [Record(b"ann", b"old")])
    await owner.renew([TP(topic, 0)])
    with pytest.raises(FencedError):
        await sleeper.sender(topic, 0).send_whole(topic, 0, [Record(b"ann", b"stale")])
    await owner.sender(topic, 0).send_whole(topic, 0, [Record(b"ann", b"new"), Record(b"bob", b"new")])
    with pytest.raises(FencedError):
        await sleeper.sender(topic, 0).send_whole(topic, 0, [Record(b"bob", b"stale")])
    await sleeper.sender(topic, 1).send_whole(topic, 1, [Record(b"cid", b"kept")])
    for producer in started:
        await producer.stop()
    found = {(each.partition, each.key, each.value) for each in made.records(made.topics.users)}
    assert found == {
        (0, CLAIM_KEY, None),
        (1, CLAIM_KEY, None),
        (0, b"ann", b"old"),
        (0, b"ann", b"new"),
        (0, b"bob", b"new"),
        (1, b"cid", b"kept"),
    }
