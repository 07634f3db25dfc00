"""Topics that are made again, cut short, replaced, or cut by retention: at rest and under running workers."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from afresh.deploy.clients import places
from afresh.deploy.demo.scrape import Page
from afresh.deploy.demo.workers import environment
from afresh.deploy.ledger import audit
from afresh.deploy.servers import Server, local_kafka
from afresh.deploy.servers.kafka import Installation
from afresh.deploy.servers.process import ServerProcess, running
from afresh.state.errors import START_AGAIN_STATUS
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.admin import create_topics
from afresh.streams.messages import TextRequest
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic
from tests.conftest import settings_for
from tests.kafka.deployment import Deployment, deployment, ended, wait


@pytest.fixture
def genuine(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings, tmp_path) as made:
        yield made


@contextmanager
def admin_of(made: Deployment) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(**kafka_options(made.settings))
    try:
        yield client
    finally:
        client.close()


def made_again(made: Deployment, *topics: Topic) -> None:
    """Delete topics, and make them again."""
    names = {topic.name for topic in topics}
    with admin_of(made) as admin:
        admin.delete_topics(list(names))
        wait(lambda: not names & set(admin.list_topics()), "the topics to be gone")
    create_topics(made.settings)


def events_of_new_users(made: Deployment, prefix: str, count: int) -> dict[str, str]:
    """Send an event of each of some new users; return the events by user."""
    return {f"{prefix}{number}": made.event(f"{prefix}{number}", f"i{number % 7}") for number in range(count)}


def answered(made: Deployment, events: dict[str, str]) -> None:
    """Wait until every user has the list that takes in the event."""
    for user, event in events.items():
        made.answer(user, event)


def offsets(made: Deployment, topic: Topic, *, first: bool = False) -> dict[TopicPartition, int]:
    """Return the first or the end offset of each partition."""
    consumer = KafkaConsumer(**kafka_options(made.settings))
    try:
        ask = consumer.beginning_offsets if first else consumer.end_offsets
        return dict(ask(places(topic)))
    finally:
        consumer.close()


def log_of(made: Deployment) -> str:
    return "".join(path.read_text() for path in sorted(made.folder.glob("worker-*/*.log")))


def test_topics_that_are_made_again_at_rest_are_read_from_their_beginning(genuine: Deployment) -> None:
    topics = genuine.topics
    with genuine.running(genuine.process()):
        answered(genuine, events_of_new_users(genuine, "a", 24))
    made_again(genuine, topics.events)
    with genuine.running(genuine.process()):
        answered(genuine, events_of_new_users(genuine, "b", 8))
        report = audit(genuine.settings, wait_seconds=60)
    assert f"{topics.events.name} was deleted and made again" in log_of(genuine)
    assert report.differences == []
    assert (report.events.total, report.events.once, report.events.unchecked) == (8, 8, 24)
    made_again(genuine, topics.interactions, topics.examples)
    with genuine.running(genuine.process()) as page:
        answered(genuine, events_of_new_users(genuine, "c", 8))
        wait(lambda: page.read().total("afresh_lag_records") == 0, "the examples to be learned")
        assert page.read().total("afresh_already_counted_total") == 0
        assert genuine.list_of("a1") is not None, "what was counted stays"
    assert f"{topics.interactions.name} was deleted and made again" in log_of(genuine)


def test_a_topic_that_is_made_again_under_a_running_worker_ends_it_to_be_started_again(
    genuine: Deployment,
) -> None:
    topics = genuine.topics
    process = genuine.process()
    with genuine.running(process):
        answered(genuine, events_of_new_users(genuine, "a", 24))
        made_again(genuine, topics.events)
        lost = events_of_new_users(genuine, "b", 8)
        status, sentence = ended(process)
    assert status == START_AGAIN_STATUS
    assert "start it again" in sentence
    process = genuine.process()
    with genuine.running(process):
        answered(genuine, lost)
        made_again(genuine, topics.behaviour)
        events_of_new_users(genuine, "c", 8)
        assert ended(process)[0] == START_AGAIN_STATUS
    status, sentence = refused(genuine)
    assert status == 2
    assert "rows were lost" in sentence
    assert topics.behaviour.name in sentence


def refused(made: Deployment) -> tuple[int | None, str]:
    """Start a worker that ends by itself; return its exit status and the last line of its log."""
    process = made.process()
    with environment(made.variables(process)), running(process):
        return ended(process)


def remove_events(made: Deployment) -> int:
    """Remove all events as retention would; return how many offsets the topic had."""
    ends = offsets(made, made.topics.events)
    with admin_of(made) as admin:
        admin.delete_records(ends)
    return sum(ends.values())


def test_records_that_are_removed_before_they_are_read_are_counted(genuine: Deployment) -> None:
    def lost(page: Page) -> int:
        return page.read().total("afresh_records_lost_total", topic=genuine.topics.events.name)

    process = genuine.process()
    with genuine.running(process) as page:
        answered(genuine, events_of_new_users(genuine, "a", 8))
        wait(lambda: page.read().total("afresh_lag_records") == 0, "everything to be committed")
        assert remove_events(genuine) == 8, "nothing is lost of what was read"
        with suspended(process):
            events_of_new_users(genuine, "b", 6)
            assert remove_events(genuine) == 14
        answered(genuine, events_of_new_users(genuine, "c", 8))
        assert lost(page) == 6
    events_of_new_users(genuine, "d", 5)
    remove_events(genuine)
    with genuine.running(genuine.process()) as page:
        answered(genuine, events_of_new_users(genuine, "e", 8))
        assert lost(page) == 5
    assert "were removed before they were read" in log_of(genuine)


@contextmanager
def suspended(process: ServerProcess) -> Iterator[None]:
    """Let a worker sleep, once the broker has answered its last fetch."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(0.5)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def cut_short(made: Deployment, broker: Server, folder: Path, topic: Topic, partition: int) -> None:
    """Remove the last half of a log's batches, as an older copy of the disk would lack them."""
    broker.stop()
    (segment,) = folder.glob(f"data/**/{topic.name}-{partition}/*.log")
    data, ends = segment.read_bytes(), [0]
    while ends[-1] < len(data):
        (length,) = struct.unpack_from(">i", data, ends[-1] + 8)
        ends.append(ends[-1] + 12 + length)
    segment.write_bytes(data[: ends[len(ends) // 2]])
    for index in segment.parent.glob("*index"):
        index.unlink()
    broker.start()
    # The broker has forgotten what this producer sent last, and would refuse what it sends next.
    made.producer.close(timeout=5)
    made.producer = KafkaProducer(**kafka_options(made.settings))


def set_config(made: Deployment, topic: Topic, **config: str) -> None:
    with admin_of(made) as admin:
        named = {name.replace("_", "."): value for name, value in config.items()}
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=topic.config | named)]
        )


def test_a_log_that_was_cut_short_or_replaced_and_a_changelog_that_lost_rows_are_refused(
    kafka_installation: Installation, redis_server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "kafka"
    quick = {"log.retention.check.interval.ms": "300", "log.initial.task.delay.ms": "300"}
    with local_kafka(folder, kind="kafka", properties=quick) as broker:
        settings = settings_for(broker, redis_server, tmp_path)
        with deployment(settings, tmp_path) as made:
            events, users = made.topics.events, made.topics.users
            with made.running(made.process()):
                answered(made, events_of_new_users(made, "a", 24))

            cut_short(made, broker, folder, events, 0)
            status, sentence = refused(made)
            assert status == 2
            assert f"{events.name}-0 ends at offset" in sentence
            assert f"delete the topic {events.name} and run: afresh topics create" in sentence

            events_of_new_users(made, "b", 40)
            status, sentence = refused(made)
            assert status == 2
            assert f"{events.name}-0 has another record at offset" in sentence

            made_again(made, events)
            process = made.process()
            with made.running(process) as page:
                answered(made, events_of_new_users(made, "c", 8))
                set_config(made, users, cleanup_policy="delete", retention_ms="1")
                wait(
                    lambda: page.read().total("afresh_topic_policy_wrong", topic=users.name),
                    "the policy to be noticed",
                )
                wait(lambda: all(offsets(made, users, first=True).values()), "retention to delete rows")
                set_config(made, users)
                wait(
                    lambda: not page.read().total("afresh_topic_policy_wrong", topic=users.name),
                    "the policy to be right again",
                )
            assert f"{users.name} has cleanup.policy delete instead of compact" in log_of(made)
            status, sentence = refused(made)
            assert status == 2
            assert "rows were lost: the first" in sentence
            assert f"records of {users.name}-" in sentence
            assert "another AFRESH_NAMESPACE" in sentence


def test_texts_that_are_made_again_under_a_running_embed_worker_are_all_encoded(
    settings: Settings, tmp_path: Path
) -> None:
    """An embed worker has no rows; the offsets that it commits name the topic that they belong to."""
    with deployment(settings.model_copy(update={"encoder": "minilm"}), tmp_path) as made:
        texts = made.topics.texts

        def ask(prefix: str, count: int) -> set[bytes]:
            for number in range(count):
                item = f"{prefix}{number}"
                made.send(
                    texts, item, msgspec.msgpack.encode(TextRequest(item, number, f"the film {number}"))
                )
            return {f"{prefix}{number}".encode() for number in range(count)}

        def encoded(items: set[bytes]) -> bool:
            return items <= {record.key for record in made.records(made.topics.embeddings)}

        process = made.process("embed-worker")
        with made.running(process):
            old = ask("old", 6)
            wait(lambda: encoded(old), "the texts to be encoded")
            made_again(made, texts)
            new = ask("new", 24)
            assert ended(process)[0] == START_AGAIN_STATUS
        with made.running(made.process("embed-worker")):
            wait(lambda: encoded(new), "all texts of the new topic to be encoded")
