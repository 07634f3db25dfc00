from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import numpy as np
import pytest
import redis
from kafka import KafkaConsumer, TopicPartition
from pydantic import SecretStr

from afresh.deploy.servers import genuine_kafka, local_kafka, local_redis
from afresh.state.errors import AfreshError
from afresh.state.lists import recommendations_key
from afresh.streams.kafka.admin import create_topics
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics
from tests.benchmarks import latency
from tests.benchmarks.latency import OpenLoop
from tests.benchmarks.rows import DISTINCT

DELAY_SECONDS = 0.05


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    try:
        genuine_kafka()
    except AfreshError as error:
        pytest.skip(f"no Kafka (set KAFKA_HOME): {error}")
    folder = tmp_path_factory.mktemp("servers")
    with local_kafka(folder / "kafka", kind="kafka") as kafka, local_redis(folder / "redis") as store:
        yield kafka.address, store.address


@contextmanager
def _recommender(settings: Settings, answers: Callable[[int], bool]) -> Iterator[None]:
    """Write a list for each event whose number ``answers`` accepts, after a delay, as a worker would."""
    consumer = KafkaConsumer(bootstrap_servers=settings.brokers, auto_offset_reset="earliest")
    topic = Topics(settings).events.name
    consumer.assign([TopicPartition(topic, number) for number in range(settings.partitions)])
    store = redis.Redis.from_url(settings.redis.get_secret_value())
    stop = threading.Event()

    def answer() -> None:
        while not stop.is_set():
            for records in consumer.poll(timeout_ms=10).values():
                time.sleep(DELAY_SECONDS)
                for event in (msgspec.json.decode(record.value) for record in records):
                    if answers(int(event["id"].rpartition("-")[2])):
                        made = msgspec.json.encode({"last_event": event["id"], "items": []})
                        store.set(recommendations_key(settings.namespace, f"web:{event['user']}"), made)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        consumer.close()
        store.close()


def _settings(servers: tuple[str, str], namespace: str) -> Settings:
    settings = Settings(kafka=servers[0], redis=SecretStr(servers[1]), namespace=namespace, partitions=2)
    create_topics(settings)
    return settings


@pytest.mark.servers
async def test_a_latency_is_at_least_the_delay_of_the_list(servers: tuple[str, str]) -> None:
    settings = await asyncio.to_thread(_settings, servers, "answered")
    with _recommender(settings, lambda number: True):
        measured = await OpenLoop(settings, "answered").run(rate=100, seconds=1.0, warm_up=0.5)
    assert (measured.sent, measured.unanswered) == (100, 0)
    assert DELAY_SECONDS <= measured.p50_seconds <= measured.p99_seconds


@pytest.mark.servers
async def test_an_event_without_a_list_counts_with_the_time_it_waited(
    servers: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "GRACE_SECONDS", 1.0)
    # Each user sends one event only, because a later event would answer an earlier one of the same user.
    monkeypatch.setattr(latency, "USERS", 1_000_000)
    settings = await asyncio.to_thread(_settings, servers, "unanswered")
    with _recommender(settings, lambda number: number < 90):
        measured = await OpenLoop(settings, "unanswered").run(rate=100, seconds=1.0, warm_up=0.0)
    assert (measured.sent, measured.unanswered) == (100, 10)
    assert measured.p99_seconds >= 1.0


@pytest.mark.servers
async def test_a_list_answers_all_earlier_events_of_its_user(
    servers: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "USERS", 1)
    settings = await asyncio.to_thread(_settings, servers, "coalesced")
    with _recommender(settings, lambda number: number % 10 == 9):
        measured = await OpenLoop(settings, "coalesced").run(rate=100, seconds=1.0, warm_up=0.0)
    assert (measured.sent, measured.unanswered) == (100, 0)


def test_users_of_some_tastes_keep_to_items_of_these_texts() -> None:
    loop = OpenLoop(Settings(_env_file=None), "tastes", items=3 * DISTINCT, tastes=2)
    users = np.repeat(np.array([0, 5, DISTINCT]), 200)
    items = loop._taken(users)
    assert items.max() < 3 * DISTINCT
    for user, texts in ((0, {0, 1}), (5, {10, 11}), (DISTINCT, {0, 1})):
        assert set((items[users == user] % DISTINCT).tolist()) == texts
    assert len(set(items[users == 5].tolist())) == 6
