"""What producers send that share no code with ours: codecs, partitioners, transactions, odd keys and headers.

All tests share a broker and a worker. Whatever one of them leaves behind, the worker goes on, and the ledger agrees at
the end.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.record.util import calc_crc32c

from afresh.deploy.demo.scrape import Page
from afresh.deploy.ledger import audit
from afresh.deploy.servers import Server, local_kafka
from afresh.deploy.servers.kafka import Installation
from afresh.deploy.status.collect import look
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.admin import create_topics
from afresh.streams.kafka.sender import partition_of
from afresh.streams.topics import Topic
from tests.conftest import settings_for
from tests.kafka.deployment import Deployment, wait

ITEMS = [f"film {number}" for number in range(8)]
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PARTITIONERS = ("consistent", "consistent_random", "murmur2", "murmur2_random", "fnv1a_random")
RECOMPRESSED = {
    "interactions": "zstd",
    "examples": "lz4",
    "items": "snappy",
    "received": "gzip",
    "users": "snappy",
    "behaviour": "lz4",
    "content": "zstd",
}
"""Topics whose batches the broker compresses anew, by attribute of ``Topics``."""

PROPERTIES = {
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "log.cleaner.backoff.ms": "300",
}
COMPACT_AT_ONCE = {"min.cleanable.dirty.ratio": "0.001", "delete.retention.ms": "1", "segment.ms": "300"}
LARGE_BYTES = 30_000
CRC_AT, CRC_FROM, COUNT_AT, RECORDS_AT = 17, 21, 57, 61
"""Where the checksum of a batch, what it covers, the number of records and the records begin."""
CONTROL_BIT = 0x20


class Strangers(Deployment):
    """A deployment whose producers are others' clients."""

    server: Server
    data: Path
    page: Page

    def librdkafka(self, **config: Any) -> Producer:
        """Make a producer on librdkafka."""
        return Producer({"bootstrap.servers": self.settings.kafka, "linger.ms": 50} | config)

    def transaction(self, name: str, **config: Any) -> Producer:
        """Begin a transaction."""
        producer = self.librdkafka(
            **{"transactional.id": f"{self.settings.namespace}-stranger-{name}"} | config
        )
        producer.init_transactions(30)
        producer.begin_transaction()
        return producer

    def feed(self, producer: Producer, events: Sequence[dict[str, Any]], **where: Any) -> None:
        """Send events; each has the user as its key unless another one is given."""
        for event in events:
            place = {"key": f"web:{event['user']}".encode()} | where
            producer.produce(self.topics.events.name, msgspec.json.encode(event), **place)
        producer.flush(30)

    def events(self, user: str, count: int = 1, **fields: Any) -> list[dict[str, Any]]:
        """Make events of one user; the last one is what the list must take in."""
        return [self.next_event(user, ITEMS[number % len(ITEMS)]) | fields for number in range(count)]

    def listed(self, user: str) -> set[str]:
        """Return the items in a user's list; empty while there is none."""
        made = self.list_of(user)
        return {item.id for item in made.items} if made else set()

    def configure(self, topic: Topic, configs: dict[str, str]) -> None:
        """Change the configuration of a topic."""
        admin = KafkaAdminClient(**kafka_options(self.settings))
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=configs)])
        admin.close()

    def waiting(self) -> dict[str, int]:
        """Count what each topic has uncommitted, as ``afresh status`` shows it."""
        return look(self.settings).waiting

    def logs_of(self, topic: Topic, partition: int) -> list[Path]:
        """Return the files in which the broker keeps a partition."""
        return sorted((self.data / f"{topic.name}-{partition}").glob("*.log"))


@pytest.fixture(scope="module")
def made(
    kafka_installation: Installation, redis_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Strangers]:
    folder = tmp_path_factory.mktemp("strangers")
    with local_kafka(folder / "kafka", kind="kafka", properties=PROPERTIES) as server:
        settings = settings_for(server, redis_server, folder)
        quick = settings.model_copy(update={"list_refresh_seconds": 0.5})
        create_topics(quick)
        with closing(Strangers(quick, folder)) as opened:
            opened.data = folder / "kafka" / "data"
            for name, codec in RECOMPRESSED.items():
                opened.configure(opened.topics.named(name), {"compression.type": codec})
            for item in ITEMS:
                opened.item(item)
            with opened.running(opened.process()) as page:
                opened.page = page
                yield opened


def test_batches_of_librdkafka_count_with_every_codec_and_partitioner(made: Strangers) -> None:
    newest: dict[str, str] = {}
    for codec, partitioner in zip(CODECS, PARTITIONERS, strict=True):
        producer = made.librdkafka(**{"compression.type": codec, "partitioner": partitioner})
        events = made.events(f"rd-{codec}", 6)
        made.feed(producer, events)
        # Batches that unpack to far more than a mebibyte.
        large = made.events(f"large-{codec}", 60, context={"page": "x" * LARGE_BYTES})
        made.feed(made.librdkafka(**{"compression.type": codec, "message.max.bytes": 8_000_000}), large)
        newest |= {f"rd-{codec}": events[-1]["id"], f"large-{codec}": large[-1]["id"]}
    for user, event in newest.items():
        made.answer(user, event)


class OddText(str):
    """Text that a client sends as bytes that are no UTF-8, as a program in C can."""

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


def test_records_with_odd_keys_and_headers_count(made: Strangers) -> None:
    """The key of a header that was no UTF-8 ended every worker, again after each restart."""
    producer = made.librdkafka(**{"compression.type": "lz4"})
    newest: dict[str, str] = {}
    for number, key in enumerate((None, b"", b"\xff\xfe", b"k" * 100_000)):
        events = made.events(f"odd-{number}")
        made.feed(producer, events, key=key, headers=[("trace", b"\xff"), ("empty", None), ("", b"")])
        newest[f"odd-{number}"] = events[-1]["id"]
    odd, plain = made.next_event("odd header", ITEMS[0]), made.next_event("after it", ITEMS[1])
    for event, headers in ((odd, [(OddText("x"), b"1")]), (plain, [])):
        value = msgspec.json.encode(event)
        made.producer.send(made.topics.events.name, value, b"same", headers=headers).get(timeout=60)
        newest[event["user"]] = event["id"]
    for user, id_ in newest.items():
        made.answer(user, id_)


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
def test_events_of_kcat_count(made: Strangers) -> None:
    newest: dict[str, str] = {}
    for codec in CODECS[1:]:
        (event,) = made.events(f"kcat-{codec}")
        arguments = (
            "-b",
            made.settings.kafka,
            "-t",
            made.topics.events.name,
            "-z",
            codec,
            "-H",
            "a=b",
            "-P",
            "-K|",
        )
        line = f"web:kcat|{msgspec.json.encode(event).decode()}"
        subprocess.run(["kcat", *arguments], input=line, text=True, check=True)
        newest[event["user"]] = event["id"]
    for user, id_ in newest.items():
        made.answer(user, id_)


def test_events_of_kafkas_own_console_producer_count(
    made: Strangers, kafka_installation: Installation
) -> None:
    """Java frames its snappy and lz4 otherwise than librdkafka does."""
    newest: dict[str, str] = {}

    def produce(codec: str) -> None:
        (event,) = made.events(f"java-{codec}")
        arguments: tuple[str, ...] = (
            "--bootstrap-server",
            made.settings.kafka,
            "--topic",
            made.topics.events.name,
        )
        arguments += (
            "--compression-codec",
            codec,
            "--property",
            "parse.key=true",
            "--property",
            "key.separator=|",
        )
        line = f"web:{event['user']}|{msgspec.json.encode(event).decode()}\n"
        command = kafka_installation.command("org.apache.kafka.tools.ConsoleProducer", *arguments)
        subprocess.run(command, input=line, text=True, check=True, capture_output=True)
        newest[event["user"]] = event["id"]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(produce, ("snappy", "lz4")))
    for user, id_ in newest.items():
        made.answer(user, id_)


def test_only_what_was_committed_counts(made: Strangers) -> None:
    """An aborted purchase changed lists, and an aborted tombstone removed an item."""
    plain = made.librdkafka()
    undone, kept = made.transaction("undone"), made.transaction("kept", **{"compression.type": "zstd"})
    answers = {}
    # Interleaved in one partition: every second record is of another producer.
    for number in range(6):
        for producer, user in ((undone, "undone"), (plain, "between"), (kept, "kept")):
            (event,) = made.events(user, type="purchase", item=ITEMS[number])
            made.feed(producer, [event], partition=0)
            answers[user] = event["id"]
    undone.produce(
        made.topics.items.name, None, ITEMS[7].encode(), partition=partition_of(ITEMS[7].encode(), 2)
    )
    undone.flush(30)
    undone.abort_transaction(30)
    kept.commit_transaction(30)
    made.answer("between", answers["between"])
    made.answer("kept", answers["kept"])
    assert ITEMS[7] in made.listed("between")
    assert made.list_of("undone") is None
    # A transaction of the same producer counts after one that did not.
    undone.begin_transaction()
    events = made.events("undone")
    made.feed(undone, events, partition=0)
    undone.commit_transaction(30)
    assert made.answer("undone", events[0]["id"]).revision == 1
    wait(lambda: not sum(made.waiting().values()), "the offsets behind the markers to be committed")


def test_while_a_transaction_hangs_others_get_their_lists_and_the_lag_shows_it(made: Strangers) -> None:
    hanging = made.transaction("hanging", **{"transaction.timeout.ms": 600_000})
    lost, behind, elsewhere = made.events("lost"), made.events("behind"), made.events("elsewhere")
    made.feed(hanging, lost, partition=0)
    made.feed(made.librdkafka(), behind, partition=0)
    made.feed(made.librdkafka(), elsewhere, partition=1)
    made.answer("elsewhere", elsewhere[0]["id"])
    wait(lambda: made.page.read().total("afresh_lag_records", topic=made.topics.events.name) >= 2, "the lag")
    assert made.page.ready()
    assert made.waiting()[made.topics.events.name] >= 2
    assert (made.list_of("lost"), made.list_of("behind")) == (None, None)
    # Its producer comes back, and Kafka ends what it had left open. Another one never does.
    made.transaction("hanging").abort_transaction(30)
    made.feed(made.transaction("gone", **{"transaction.timeout.ms": 1000}), made.events("lost"), partition=0)
    after = made.events("after")
    made.feed(made.librdkafka(), after, partition=0)
    made.answer("behind", behind[0]["id"])
    made.answer("after", after[0]["id"])
    assert made.list_of("lost") is None
    wait(lambda: not sum(made.waiting().values()), "the offsets behind the markers to be committed")
    wait(lambda: not made.page.read().total("afresh_lag_records"), "the lag to be worked off")


def test_a_batch_that_nothing_can_unpack_becomes_a_dead_letter(made: Strangers) -> None:
    """Kafka checks batches when they come, so the broker's file is changed, before the transaction is committed."""
    producer = made.transaction("garbled", **{"compression.type": "zstd"})
    made.feed(producer, made.events("garbled", 5), partition=1)
    (log,) = made.logs_of(made.topics.events, 1)
    at = garble(log)
    producer.commit_transaction(30)
    behind = made.events("not garbled")
    made.feed(made.librdkafka(), behind, partition=1)
    made.answer("not garbled", behind[0]["id"])
    letters = [dict(record.headers) for record in made.records(made.topics.dead_letters)]
    (letter,) = [letter for letter in letters if letter["reason"] == b"unreadable"]
    assert (letter["topic"], letter["offset"]) == (made.topics.events.name.encode(), str(at).encode())
    assert b"5 records" in letter["detail"]
    assert b"zstd" in letter["detail"]


def batches_of(log: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the batches in a file of the broker, each with its place."""
    raw, start = log.read_bytes(), 0
    while start < len(raw):
        end = start + 12 + int.from_bytes(raw[start + 8 : start + 12], "big")
        yield start, raw[start:end]
        start = end


def garble(log: Path) -> int:
    """Change the last batch of a log to bytes that no codec knows, with the right checksum; return its offset."""
    *_, (start, raw) = batches_of(log)
    garbled = raw[CRC_FROM:RECORDS_AT] + b"?" * (len(raw) - RECORDS_AT)
    with log.open("r+b") as file:
        file.seek(start + CRC_AT)
        file.write(calc_crc32c(garbled).to_bytes(4, "big") + garbled)
    return int.from_bytes(raw[:8], "big")


def test_compaction_empties_the_marker_of_a_transaction_that_nobody_ended(made: Strangers) -> None:
    """Both clients end with an error there; the ledger and the second worker below read it from the beginning."""
    identities, kept = (
        made.topics.identities,
        made.topics.identities.config.get("delete.retention.ms", "86400000"),
    )
    made.configure(identities, COMPACT_AT_ONCE)
    gone = made.transaction("link", **{"transaction.timeout.ms": 1000})
    gone.produce(identities.name, b"web:somebody", b"web:lost", partition=0)
    gone.flush(30)

    def emptied() -> bool:
        made.producer.send(identities.name, b"web:else", b"web:other", partition=0).get(timeout=60)
        found = [raw for log in made.logs_of(identities, 0) for _, raw in batches_of(log)]
        return any(raw[CRC_FROM + 1] & CONTROL_BIT and raw[COUNT_AT:RECORDS_AT] == bytes(4) for raw in found)

    wait(emptied, "the marker to be emptied")
    made.configure(identities, {"delete.retention.ms": kept})


def test_the_ledger_agrees_and_settles(made: Strangers) -> None:
    report = audit(made.settings, wait_seconds=120)
    assert not report.differences
    assert report.events.refused == 1
    assert report.events.missing == report.events.twice == 0


def test_a_worker_that_starts_again_reads_rows_that_the_broker_compressed(made: Strangers) -> None:
    with made.running(made.process()):
        events = made.events("late")
        made.feed(made.librdkafka(), events)
        made.answer("late", events[0]["id"])
