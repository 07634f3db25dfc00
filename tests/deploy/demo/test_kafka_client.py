from __future__ import annotations

from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from msgspec.structs import replace

from afresh.deploy.clients import places, read_records
from afresh.deploy.demo import kafka_client
from afresh.deploy.demo.kafka_client import DemoFeed, dead_letters, delete_topics
from afresh.state.errors import AfreshError
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.admin import create_topics
from afresh.streams.kafka.sender import partition_of
from afresh.streams.messages import event_decoder, item_decoder
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic, Topics
from tests.deploy.demo.making import events, item
from tests.kafka.deployment import wait


def read(settings: Settings, topic: Topic) -> list[tuple[int, bytes, bytes]]:
    """Read all records of a topic as partition, key and value."""
    consumer = KafkaConsumer(**kafka_options(settings), enable_auto_commit=False, metrics_enabled=False)
    found = []
    for one in places(topic):
        end = consumer.end_offsets([one])[one]
        found += [(one.partition, each.key, each.value) for each in read_records(consumer, one, 0, end, 10.0)]
    consumer.close()
    return found


@pytest.mark.parametrize("hurry", [True, False])
def test_a_users_events_stay_in_order_on_the_partition_that_workers_expect(
    settings: Settings, hurry: bool
) -> None:
    create_topics(settings)
    script = events("abcabcaab")
    with DemoFeed(settings, hurry=hurry) as feed:
        for each in script:
            feed.event(each)
        feed.flush()
    found = read(settings, Topics(settings).events)
    assert all(partition_of(key, 2) == partition for partition, key, _ in found)
    for user in "abc":
        sent = [each.id for each in script if each.user == user]
        assert [
            event_decoder.decode(each).id for _, key, each in found if key == f"web:{user}".encode()
        ] == sent


def test_items_are_keyed_by_their_id_and_in_kafka_when_the_call_returns(settings: Settings) -> None:
    create_topics(settings)
    with DemoFeed(settings, hurry=False) as feed:
        feed.items([item("a"), item("b")])
        found = read(settings, Topics(settings).items)
    assert {key: item_decoder.decode(value) for _, key, value in found} == {b"a": item("a"), b"b": item("b")}


def test_an_item_too_large_for_kafka_ends_the_demo_with_a_sentence(embedded_settings: Settings) -> None:
    create_topics(embedded_settings)
    with (
        DemoFeed(embedded_settings, hurry=False) as feed,
        pytest.raises(AfreshError, match=r"Kafka refused a record of the demo .*MessageSizeTooLarge"),
    ):
        feed.items([item("a"), replace(item("b"), text="x" * 2_000_000)])


def test_the_demo_asks_kafka_for_every_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(kafka_client, "KafkaProducer", lambda **options: asked.update(options))
    DemoFeed(Settings(_env_file=None, idempotence=False), hurry=True)
    assert asked["acks"] == "all"


def test_dead_letters_are_counted_over_all_partitions(settings: Settings) -> None:
    create_topics(settings)
    assert dead_letters(settings) == 0
    producer = KafkaProducer(**kafka_options(settings), enable_idempotence=settings.idempotence)
    for partition in (0, 1, 1):
        producer.send(Topics(settings).dead_letters.name, b"{broken", partition=partition)
    producer.close()
    assert dead_letters(settings) == 3


def test_topics_are_deleted_and_topics_of_another_namespace_stay(settings: Settings) -> None:
    others = settings.model_copy(update={"namespace": f"{settings.namespace}-other"})
    for each in (settings, others):
        create_topics(each)
    delete_topics(settings)
    admin = KafkaAdminClient(**kafka_options(settings))
    left = {topic.name for topic in Topics(others).all()}

    def gone() -> bool:
        names = {name for name in admin.list_topics() if name.startswith(settings.namespace)}
        return names == left

    wait(gone, "the topics to be gone")
    admin.close()
