"""Collecting the status of a deployment, from real servers: the embedded broker does not describe groups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from redis import Redis

from afresh.deploy.clients import places
from afresh.deploy.ledger.reading import agent_state_of
from afresh.deploy.servers import Server
from afresh.deploy.servers.process import free_ports
from afresh.deploy.status import collect
from afresh.deploy.status.status import Member
from afresh.state.errors import AfreshError
from afresh.state.store.marks import CLAIM_KEY, PARTITION_ROW_KEY
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.admin import create_topics
from afresh.streams.kafka.patient import PatientAdmin
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic, Topics
from afresh.streams.workers import pages
from tests.upgrade.recorded import v0_1_0


class Deployment:
    """The topics of a deployment, with clients that fill and read them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics = Topics(settings)
        create_topics(settings)
        options = kafka_options(settings)
        self.admin = PatientAdmin(settings)
        self.consumer = KafkaConsumer(**options, enable_auto_commit=False, metrics_enabled=False)
        self._producer = KafkaProducer(
            **options, enable_idempotence=settings.idempotence, metrics_enabled=False
        )

    def send(self, topic: Topic, key: bytes, value: bytes | None, partition: int = 0) -> None:
        self._producer.send(topic.name, value, key, partition=partition)

    def flush(self) -> None:
        self._producer.flush()

    def agent_state(self, number: int = 0) -> bytes:
        """Return the newest agent state in a partition of the users."""
        self.flush()
        partition = TopicPartition(self.topics.users.name, number)
        begin, end = (
            offsets[partition]
            for offsets in (
                self.consumer.beginning_offsets([partition]),
                self.consumer.end_offsets([partition]),
            )
        )
        return collect.newest_agent_state(self.consumer, partition, begin, end)

    def close(self) -> None:
        self._producer.close()
        self.consumer.close()
        self.admin.close()


@pytest.fixture
def made(settings: Settings) -> Iterator[Deployment]:
    deployment = Deployment(settings)
    yield deployment
    deployment.close()


def own_rows() -> list[bytes]:
    """Return the partition rows from the users' changelog of a recorded deployment, in order."""
    records = v0_1_0().partitions_of["afresh.users.changelog", 0]
    return [each.value for each in records if each.key == PARTITION_ROW_KEY]


def test_the_agent_state_comes_from_the_newest_partition_row(made: Deployment) -> None:
    rows = own_rows()
    for row in rows:
        made.send(made.topics.users, PARTITION_ROW_KEY, row)
        made.send(made.topics.users, b"web:ann", b"a user's row")
    made.send(made.topics.users, CLAIM_KEY, None)
    assert made.agent_state() == agent_state_of({b"": rows[-1]})


def test_a_partition_row_is_found_however_far_from_the_end_it_is(
    made: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "TAIL", 2)
    (first, *_) = own_rows()
    made.send(made.topics.users, PARTITION_ROW_KEY, first)
    for number in range(40):
        made.send(made.topics.users, f"web:u{number}".encode(), b"a user's row")
    assert made.agent_state() == agent_state_of({b"": first})


def test_without_a_partition_row_there_is_no_agent_state(made: Deployment) -> None:
    made.send(made.topics.users, b"web:ann", b"a user's row")
    made.send(made.topics.users, PARTITION_ROW_KEY, own_rows()[0], partition=1)
    assert made.agent_state() == b""


def test_the_waiting_records_are_those_that_the_group_has_not_committed(made: Deployment) -> None:
    events, items = made.topics.events, made.topics.items
    for number in range(7):
        made.send(events, b"web:ann", b"{}", partition=number % 2)
    made.send(items, b"i1", b"{}")
    made.flush()
    group = made.settings.namespace
    worker = KafkaConsumer(
        **kafka_options(made.settings), group_id=group, enable_auto_commit=False, metrics_enabled=False
    )
    worker.assign([TopicPartition(events.name, 0)])
    worker.commit({TopicPartition(events.name, 0): OffsetAndMetadata(3, "", -1)})
    worker.close()
    every = places(events, items)
    begins, ends = made.consumer.beginning_offsets(every), made.consumer.end_offsets(every)
    found = collect.waiting(made.admin, group, begins, ends, [events, items])
    assert found == {events.name: 4, items.name: 1}


@contextmanager
def member(settings: Settings, topic: Topic) -> Iterator[None]:
    """Join the workers' group with a member that holds all partitions of a topic."""
    worker = KafkaConsumer(
        topic.name,
        **kafka_options(settings),
        group_id=settings.namespace,
        enable_auto_commit=False,
        metrics_enabled=False,
    )
    try:
        while not worker.assignment():
            worker.poll(timeout_ms=100)
        yield
    finally:
        worker.close()


def test_each_worker_is_listed_with_the_partitions_that_it_holds(made: Deployment) -> None:
    topic, nobody = made.topics.interactions, Member("", "", [9])
    with member(made.settings, topic):
        (found,) = collect.workers(made.admin, made.settings.namespace, topic.name) or [nobody]
        assert found.partitions == [0, 1]
        assert found.name
        (other,) = collect.workers(made.admin, made.settings.namespace, made.topics.events.name) or [nobody]
        assert other.partitions == []


def test_an_empty_group_has_no_workers(made: Deployment) -> None:
    topic = made.topics.interactions.name
    assert collect.workers(made.admin, made.settings.namespace, topic) == []


def test_lists_are_counted_without_popular_lists_and_without_other_namespaces(
    settings: Settings,
) -> None:
    redis = Redis.from_url(settings.redis.get_secret_value())
    namespace = settings.namespace
    for key in ("recommendations:web:ann", "recommendations:web:bob", "popular:films"):
        redis.set(f"{namespace}:{key}", "{}")
    redis.set(f"{namespace}-other:recommendations:web:ann", "{}")
    assert collect.lists(settings) == 2
    redis.close()


def nobody_at(settings: Settings, **ports: str) -> Settings:
    return settings.model_copy(update={"start_timeout_seconds": 1.0} | ports)


def test_the_number_of_lists_is_unknown_if_redis_does_not_answer(settings: Settings) -> None:
    (port,) = free_ports(1)
    address = type(settings.redis)(f"redis://127.0.0.1:{port}/0")
    assert collect.lists(settings.model_copy(update={"redis": address})) is None


@pytest.mark.parametrize(
    ("missing", "said"), [("", "ready"), ("tables are recovered", "tables are recovered")]
)
def test_the_worker_on_this_machine_is_asked_whether_it_is_ready(
    missing: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server = pages.serve("127.0.0.1", 0, lambda: missing)
    settings = Settings(_env_file=None, metrics_port=server.server_port)
    assert collect.ready(settings) == said
    server.shutdown()
    server.server_close()
    assert collect.ready(settings) is None


def test_look_reads_the_status_of_a_deployment_of_version_0_1_0(
    settings: Settings, redis_server: Server
) -> None:
    recorded, deployment = v0_1_0(), Deployment(settings)
    names = {
        f"afresh.{topic.name.removeprefix(settings.namespace + '.')}": topic
        for topic in deployment.topics.all()
    }
    for (name, partition), records in recorded.partitions_of.items():
        for each in records:
            deployment.send(names[name], each.key, each.value, partition)
    deployment.flush()
    redis = Redis.from_url(redis_server.address)
    for key, value in recorded.redis.items():
        redis.set(key.replace("afresh", settings.namespace, 1), value)
    redis.close()
    (port,) = free_ports(1)
    found = collect.look(settings.model_copy(update={"metrics_port": port}))
    deployment.close()
    assert found.waiting[deployment.topics.events.name] == len(list(recorded.records("events")))
    assert (found.dead_letters, found.lists, found.ready, found.workers) == (4, 5, None, [])
    assert (found.model.version, found.model.workers) == (0, [])
    assert found.judged.examples == 0, "no worker of this version has taken over what was learned"


def test_without_the_topics_look_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(AfreshError, match="afresh topics create"):
        collect.look(settings)


def test_on_the_embedded_broker_a_look_tells_all_but_the_workers(embedded_settings: Settings) -> None:
    deployment = Deployment(embedded_settings)
    deployment.send(deployment.topics.events, b"web:ann", b"{}")
    deployment.flush()
    found = collect.look(embedded_settings)
    deployment.close()
    assert (found.workers, found.waiting[deployment.topics.events.name], found.lists) == (None, 1, 0)
