"""On the genuine Kafka: workers notice partitions added to a topic, and meanwhile count nothing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from afresh.deploy.clients import places
from afresh.deploy.feeds.replay import replay
from afresh.deploy.ledger import audit
from afresh.state.errors import AfreshError
from afresh.streams.connections import kafka_options
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic
from tests.kafka.deployment import NOW_MS, Deployment, deployment, ended, wait

NOTICED = "Somebody has added partitions to a topic while workers ran, and AFRESH_PARTITIONS is 2"


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings, tmp_path) as made:
        yield made


def add_partition(made: Deployment, *topics: Topic) -> None:
    admin = KafkaAdminClient(**kafka_options(made.settings))
    try:
        admin.create_partitions({topic.name: 3 for topic in topics})
    finally:
        admin.close()


def everything(made: Deployment) -> dict[str, Any]:
    """Read the end of every topic, the offsets that the group has committed, and all values in Redis."""
    admin, consumer = (client(**kafka_options(made.settings)) for client in (KafkaAdminClient, KafkaConsumer))
    try:
        return {
            "ends": consumer.end_offsets(places(*made.topics.all())),
            "committed": admin.list_group_offsets(made.settings.namespace),
            "lists": {key: made.redis.get(key) for key in made.redis.keys(f"{made.settings.namespace}:*")},
        }
    finally:
        consumer.close()
        admin.close()


def test_a_worker_refuses_to_start_with_an_added_partition_and_changes_nothing(
    made: Deployment,
) -> None:
    process = made.process()
    with made.running(process):
        made.answer("ann", made.event("ann", "c1"))
    made.event("ann", "c2")
    add_partition(made, made.topics.events)
    before = everything(made)
    with pytest.raises(AfreshError, match="ended during its start with status 2"), made.running(process):
        pass
    said = process.log.read_text().splitlines()[-1]
    assert f"{made.topics.events.name} has 3 partitions instead of 2" in said
    assert said.endswith("create topics under another AFRESH_NAMESPACE, and replay the events into them")
    assert everything(made) == before


def load(made: Deployment) -> None:
    """Send the same 1,200 events of 20 users each time: more than a user's row remembers."""
    for number in range(1200):
        user = f"u{number % 20}"
        event = made.next_event(user, f"i{number % 23}") | {"id": f"e{number}", "time": NOW_MS + number}
        made.producer.send(made.topics.events.name, msgspec.json.encode(event), f"web:{user}".encode())
    made.producer.flush()


def send_to_the_new_partition(made: Deployment) -> None:
    producer = KafkaProducer(**kafka_options(made.settings))
    event = msgspec.json.encode(made.next_event("late", "i1"))
    producer.send(made.topics.events.name, event, partition=2).get(timeout=60)
    producer.close()


@pytest.mark.parametrize("grown", ["events", "all"])
def test_workers_end_when_a_topic_gets_a_partition_and_until_then_count_nothing_wrong(
    made: Deployment, grown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = made.process(), made.process()
    with made.running(first) as page, made.running(second) as other:
        wait(lambda: page.ready() and other.ready(), "both workers to be ready")
        load(made)
        assert audit(made.settings, wait_seconds=60.0).differences == []
        add_partition(made, *(made.topics.all() if grown == "all" else [getattr(made.topics, grown)]))
        load(made)
        send_to_the_new_partition(made)
        for process in (first, second):
            status, said = ended(process)
            assert status == 2, said
            assert NOTICED in said
            assert said.endswith("see `afresh topics check`.")
    monkeypatch.setattr("afresh.deploy.ledger.auditing.require_topics", lambda _, rights: None)
    found = audit(made.settings)
    assert (found.events.total, found.events.once, found.events.twice) == (2400, 1200, 0)
    assert {tally.surplus for tally in found.tallies.values()} == {0}
    assert {tally.wrong for name, tally in found.tallies.items() if name != "received"} == {0}, found


def test_events_replayed_into_another_namespace_with_more_partitions_are_all_counted(
    made: Deployment, settings: Settings, tmp_path: Path
) -> None:
    kept = tmp_path / "events.jsonl"
    kept.write_bytes(b"\n".join(msgspec.json.encode(made.next_event(f"u{n % 20}", "i1")) for n in range(200)))
    more = settings.model_copy(update={"namespace": f"{settings.namespace}-more", "partitions": 3})
    with deployment(more, tmp_path) as grown, grown.running(grown.process()):
        assert replay(more, str(kept)).sent == 200
        report = audit(more, wait_seconds=60.0)
        assert report.differences == []
        assert report.events.once == 200
