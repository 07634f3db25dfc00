"""What strangers write with their own clients and partitioners, on the genuine Kafka."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from kafka import KafkaAdminClient, KafkaConsumer, OffsetAndMetadata
from kafka.admin import ConfigResource, ConfigResourceType

from afresh.deploy.clients import places
from afresh.deploy.ledger import audit
from afresh.deploy.ledger.reading import kafka_logs
from afresh.state.rows import content
from afresh.state.rows.content import ContentRow
from afresh.state.store.marks import OWN_KEYS
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.sender import partition_of
from afresh.streams.messages import Embedding, TextRequest, encode, text_request_decoder
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic
from tests.kafka.deployment import Deployment, deployment, wait

ITEMS = 40
GONE = range(0, ITEMS, 2)


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(
        settings.model_copy(update={"partitions": 3, "list_refresh_seconds": 1.0}), tmp_path
    ) as made:
        yield made


def item(number: int, **fields: Any) -> bytes:
    return json.dumps({"id": f"i{number}", "domain": "films", "title": f"Film {number}"} | fields).encode()


class Stranger:
    """A producer of librdkafka, with the partitioner that it has by default."""

    def __init__(self, made: Deployment, **settings: Any) -> None:
        self._producer = Producer({"bootstrap.servers": made.settings.kafka} | settings)

    def send(self, topic: Topic, key: bytes, value: bytes | None, partition: int | None = None) -> None:
        at = {} if partition is None else {"partition": partition}
        self._producer.produce(topic.name, value, key, **at)

    def flush(self) -> None:
        assert self._producer.flush(30) == 0


def kcat(made: Deployment, topic: Topic, key: bytes, value: bytes | None) -> None:
    line = key + b"\t" + (value or b"") + b"\n"
    arguments = ["kcat", "-P", "-b", made.settings.kafka, "-t", topic.name, "-K", "\t", "-Z", "-q"]
    subprocess.run(arguments, input=line, check=True, timeout=60)


def records(made: Deployment, topic: Topic) -> list[tuple[int, bytes, bytes | None]]:
    """Read partition, key and value of all records of a topic."""
    with kafka_logs(made.settings) as logs:
        return [
            (partition, record.key or b"", record.value)
            for partition in range(topic.partitions)
            for record in logs.records(topic, partition)
        ]


def rows(made: Deployment) -> dict[bytes, ContentRow]:
    """Return the content rows of the items that are there; none may be in two partitions."""
    found = {
        (partition, key): value
        for partition, key, value in records(made, made.topics.content)
        if key not in OWN_KEYS
    }
    live = {place: content.unpack(row) for place, row in found.items() if row is not None}
    assert [key for partition, key in live if partition_of(key, 3) != partition] == []
    return {key: row for (_, key), row in live.items() if not row.deleted}


def newest(made: Deployment, topic: Topic) -> dict[bytes, bytes | None]:
    return {key: value for _, key, value in records(made, topic)}


def answer(made: Deployment) -> None:
    """Answer every text that is to be encoded, as an embed worker does."""
    for key, value in newest(made, made.topics.texts).items():
        if value is not None:
            asked: TextRequest = text_request_decoder.decode(value)
            vector = Embedding(asked.item, asked.content, "fake", "1", b"\0\x3c\0\0")
            made.send(made.topics.embeddings, key.decode(), encode(vector))


def embedded(made: Deployment) -> set[bytes]:
    return {key for key, row in rows(made).items() if row.vectors}


def test_items_of_any_partitioner_are_embedded_and_every_deletion_and_withdrawal_is_honoured(
    made: Deployment,
) -> None:
    topics, stranger = made.topics, Stranger(made)
    names = [b"i%d" % number for number in range(ITEMS)]
    by_kcat = [b"kcat-%d" % number for number in range(4)] if shutil.which("kcat") else []
    for number, name in enumerate(names):
        stranger.send(topics.items, name, item(number))
    stranger.send(topics.identities, b"tv:4711", b"person-7")
    stranger.flush()
    for name in by_kcat:
        kcat(
            made,
            topics.items,
            name,
            json.dumps({"id": name.decode(), "domain": "films", "title": "k"}).encode(),
        )
    strays = sum(partition_of(key, 3) != partition for partition, key, _ in records(made, topics.items))
    assert strays > ITEMS // 3, "the partitioner is not ours"
    with made.running(made.process()):
        wait(lambda: len(rows(made)) == len(names) + len(by_kcat), "all items to be kept")
        answer(made)
        wait(lambda: len(embedded(made)) == len(names) + len(by_kcat), "all items to be embedded")

        # Some are deleted, some withdrawn: by another client than the one that fed them, with another partitioner.
        for number in GONE:
            deleted = number % 4 == 0
            made.send(topics.items, f"i{number}", None if deleted else item(number, available=False))
        for name in by_kcat:
            kcat(made, topics.items, name, None)
        there = {name for number, name in enumerate(names) if number % 4}

        def honoured() -> bool:
            kept = rows(made)
            withdrawn = {key for key, row in kept.items() if not row.available}
            return kept.keys() == there and len(withdrawn) == ITEMS // 4

        wait(honoured, "the deletions and withdrawals to be honoured")
        gone = {key for key, value in newest(made, topics.texts).items() if value is None}
        assert gone == {*names, *by_kcat} - there
        assert {key for key, value in newest(made, topics.embeddings).items() if value is None} == gone

        # An answer that comes too late is taken back.
        made.send(topics.embeddings, "i0", encode(Embedding("i0", 1, "fake", "1", b"\0\0")))
        wait(lambda: newest(made, topics.embeddings)[b"i0"] is None, "the late answer to be taken back")

        # Of two records through two partitions the later one counts.
        for title, partition in (("first", 2), ("second", 0), ("third", 1)):
            stranger.send(topics.items, b"i1", item(1, title=title), partition)
            stranger.flush()
            time.sleep(0.05)
        wait(lambda: rows(made)[b"i1"].title == "third", "the later record to count")

        event = made.event("ann", "i1")
        made.send(topics.events, "tv:4711", made.next_event("4711", "i3") | {"platform": "tv"})
        made.answer("ann", event)
        wait(lambda: made.lists.of_user("person-7"), "the linked user to have a list")
        answer(made)
        assert audit(made.settings, wait_seconds=60.0).differences == []


def configure(made: Deployment, topic: Topic, **config: str) -> None:
    admin = KafkaAdminClient(**kafka_options(made.settings))
    try:
        named = {name.replace("_", "."): value for name, value in config.items()}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=named)])
    finally:
        admin.close()


def test_deletions_during_a_stop_are_honoured_though_their_tombstones_are_gone(made: Deployment) -> None:
    topics, stranger = made.topics, Stranger(made, partitioner="murmur2_random")
    for number in range(6):
        stranger.send(topics.items, b"i%d" % number, item(number))
    stranger.flush()
    process = made.process()
    with made.running(process):
        wait(lambda: len(rows(made)) == 6, "the items to be kept")
    configure(
        made,
        topics.items,
        segment_ms="500",
        min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms="500",
        delete_retention_ms="100",
    )
    gone = {b"i1", b"i3", b"i4"}
    for name in gone:
        stranger.send(topics.items, name, None)
    stranger.flush()

    def compacted() -> bool:
        # Kafka closes and compacts a segment only when a record comes after the segment's time.
        for partition in range(3):
            stranger.send(topics.items, b"other-%d" % partition, b"broken", partition)
        stranger.flush()
        return gone.isdisjoint(newest(made, topics.items))

    wait(compacted, "the tombstones to be compacted away", 240.0)
    with made.running(process):
        wait(lambda: rows(made).keys() == {b"i0", b"i2", b"i5"}, "the vanished items to be deleted")
        assert audit(made.settings, wait_seconds=60.0).differences == []


def test_rows_that_0_1_0_left_in_wrong_partitions_are_moved_and_the_topic_is_brought_up_to_date(
    made: Deployment,
) -> None:
    topics = made.topics
    name, text = b"i1", content.content_hash("Babe")
    home = partition_of(name, 3)
    wrong = (home + 1) % 3
    right = encode([1, "films", "Babe", "", {}, True, text, b"\0\x3c\0\0", "minilm", "1"])
    stray = encode([1, "films", "An older title", "", {}, True, 7, b"", "", ""])
    lost = next(b"lost-%d" % number for number in range(99) if partition_of(b"lost-%d" % number, 3) == home)
    send = made.producer.send
    for partition, key, row in ((home, name, right), (wrong, name, stray), (wrong, lost, stray)):
        send(topics.content.name, row, key, partition=partition).get(timeout=60)
    send(topics.items.name, item(1, title="Babe", available=False), name, partition=wrong).get(timeout=60)
    time.sleep(0.05)
    send(topics.items.name, item(1, title="Babe"), name, partition=home).get(timeout=60)
    send(topics.texts.name, encode(TextRequest("i1", text, "Babe")), name, partition=home).get(timeout=60)
    committed(made, topics.items)
    with made.running(made.process()):
        wait(lambda: rows_moved(made, wrong) and rows(made).keys() == {name, lost}, "the rows to be moved")
        wait(lambda: rows(made)[name].partition == home, "the item to be taken in again")
        kept = rows(made)[name]
        assert (kept.title, kept.available) == ("Babe", True)
        assert [each.encoder for each in kept.vectors] == ["minilm"]
        asked = [key for _, key, _ in records(made, topics.texts)]
        assert asked.count(name) == 1, "the text that did not change is not encoded again"


def committed(made: Deployment, topic: Topic) -> None:
    """Commit a whole topic for the group of the workers, whose content stage read it in 0.1.0."""
    consumer = KafkaConsumer(
        **kafka_options(made.settings), group_id=made.settings.namespace, enable_auto_commit=False
    )
    try:
        consumer.assign(places(topic))
        ends = consumer.end_offsets(places(topic))
        consumer.commit({place: OffsetAndMetadata(end, "", -1) for place, end in ends.items()})
    finally:
        consumer.close()


def rows_moved(made: Deployment, wrong: int) -> bool:
    left = {key: value for partition, key, value in records(made, made.topics.content) if partition == wrong}
    return not any(value for key, value in left.items() if key not in OWN_KEYS)
