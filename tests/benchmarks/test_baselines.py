from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from afresh.deploy.servers import genuine_kafka, local_kafka
from afresh.state.errors import AfreshError
from afresh.streams.messages import event_decoder
from tests.benchmarks import events
from tests.benchmarks.job import PARTITIONS, RECENT, Record, Row, fold, row_decoder
from tests.benchmarks.measure import measure, process, record_counter, wait_until

EVENTS = 400
SENT = list(events.events(EVENTS, users=12, items=30))

CHANGELOGS = {
    "plain_faust": "{prefix}.faust-users-changelog",
    "quix": "changelog__{prefix}.quix--{prefix}.events--default",
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        genuine_kafka()
    except AfreshError as error:
        pytest.skip(f"no Kafka (set KAFKA_HOME): {error}")
    with local_kafka(tmp_path_factory.mktemp("kafka"), kind="kafka") as server:
        yield server.address


def _create_topics(broker: str, *names: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker)
    try:
        admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
        admin.wait_for_topics(list(names))
    finally:
        admin.close()


def _read(broker: str, topic: str) -> list[tuple[int, bytes, bytes]]:
    """Return partition, key and value of all records of a topic."""
    consumer = KafkaConsumer(
        bootstrap_servers=broker, auto_offset_reset="earliest", consumer_timeout_ms=10_000
    )
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        records = islice(consumer, sum(consumer.end_offsets(partitions).values()))
        return [(record.partition, record.key, record.value) for record in records]
    finally:
        consumer.close()


def _expected() -> tuple[Counter[tuple[str, str, tuple[str, ...]]], dict[str, Row]]:
    """Compute the records and final rows by the definition of the job, without its code."""
    taken: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
    records: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
    for key, value in SENT:
        event = msgspec.json.decode(value)
        before = taken[key.decode()]
        records[key.decode(), event["item"], tuple(item for item, _, _ in before[-RECENT:])] += 1
        before.append((event["item"], event["time"], event["type"]))
    return records, {
        user: Row(
            [item for item, _, _ in all_taken[-RECENT:]],
            [time for _, time, _ in all_taken[-RECENT:]],
            dict(Counter(kind for _, _, kind in all_taken)),
        )
        for user, all_taken in taken.items()
    }


@pytest.mark.servers
@pytest.mark.parametrize("contender", CHANGELOGS)
def test_a_baseline_does_the_whole_job(broker: str, contender: str, tmp_path: Path) -> None:
    if contender == "quix":
        pytest.importorskip("quixstreams")
    prefix = f"test-{contender}"
    _create_topics(broker, f"{prefix}.events", f"{prefix}.records")
    assert events.write(broker, f"{prefix}.events", iter(SENT)) == EVENTS

    command = [sys.executable, "-m", f"tests.benchmarks.{contender}", broker, prefix]
    with (
        process(command, tmp_path / "log") as pid,
        record_counter(broker, f"{prefix}.records") as counted,
    ):
        assert wait_until(pid, counted, EVENTS, time.monotonic() + 120) == EVENTS

    records, rows = _expected()
    out = [
        (key, msgspec.json.decode(value, type=Record)) for _, key, value in _read(broker, f"{prefix}.records")
    ]
    assert Counter((record.user, record.item, tuple(record.history)) for _, record in out) == records
    assert all(key.decode() == record.item for key, record in out)

    changelog = _read(broker, CHANGELOGS[contender].format(prefix=prefix))
    latest = {key: row_decoder.decode(value) for _, key, value in changelog}
    assert len(latest) == len(rows)
    for user, row in rows.items():
        assert [found for key, found in latest.items() if key.split(b"|")[0] == user.encode()] == [row]


@pytest.mark.servers
def test_events_are_written_to_the_same_partitions_as_by_kafkas_clients(broker: str) -> None:
    _create_topics(broker, "ours", "theirs")
    events.write(broker, "ours", iter(SENT))
    producer = KafkaProducer(bootstrap_servers=broker)
    for key, value in SENT:
        producer.send("theirs", value, key)
    producer.close()
    assert sorted(_read(broker, "ours")) == sorted(_read(broker, "theirs"))


def test_events_are_the_same_every_time_and_differ_by_seed() -> None:
    assert list(events.events(100)) == list(events.events(100))
    assert list(events.events(100)) != list(events.events(100, seed=1))


def test_events_are_valid_and_few_users_have_many_of_them() -> None:
    sent = [event_decoder.decode(value) for _, value in events.events(5000)]
    users = Counter(event.user for event in sent)
    assert len({event.id for event in sent}) == 5000
    assert sum(count for _, count in users.most_common(100)) > 10 * 5000 * 100 / events.USERS


def test_a_row_stays_below_a_kilobyte() -> None:
    row: bytes | None = None
    for _, value in events.events(2000, users=1):
        row, _ = fold(row, value)
    assert row is not None
    assert len(row) < 1024


def test_cpu_time_of_a_process_and_its_children_counts(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\n"
    child = f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {burn!r}])\n{burn}"
    code = f"{child}\nprint('done', flush=True)\nimport time; time.sleep(600)"
    log = tmp_path / "log"
    with process([sys.executable, "-c", code], log) as pid:
        measurement = measure(pid, lambda: 10 if b"done" in log.read_bytes() else 1, 10, timeout=60)
    assert measurement.events == 9
    assert measurement.cpu_seconds >= 0.5
    assert measurement.peak_rss_bytes > 1_000_000
    assert measurement.cpu_us_per_event == pytest.approx(measurement.cpu_seconds / 9 * 1e6)


def test_a_process_that_handles_all_events_at_once_cannot_be_measured(tmp_path: Path) -> None:
    with (
        process([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log") as pid,
        pytest.raises(ValueError, match="too few to measure"),
    ):
        measure(pid, lambda: 100, 100, timeout=60)


def test_a_process_that_ends_too_soon_is_an_error_that_shows_its_output(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no broker')"]
    with (
        pytest.raises(TimeoutError, match="handled only 0 of 10 events") as caught,
        process(command, tmp_path / "log") as pid,
    ):
        measure(pid, lambda: 0, 100, timeout=60)
    assert "no broker" in caught.value.__notes__[0]
