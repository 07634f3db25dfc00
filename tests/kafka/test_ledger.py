"""The audit over real servers: it finds nothing without faults, and it names every error that a test plants."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from afresh.deploy.demo.workers import variables
from afresh.deploy.ledger import Report, audit
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.state.errors import AfreshError
from afresh.state.lists import UserList, recommendations_key
from afresh.state.rows import users
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.sender import partition_of
from afresh.streams.messages import encode, interaction_decoder
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic
from tests.kafka.deployment import Deployment, deployment, wait

WAIT_SECONDS = 180.0
FILMS = [f"film {number}" for number in range(12)]


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    quick = settings.model_copy(update={"list_refresh_seconds": 0.5})
    with deployment(quick, tmp_path) as opened:
        yield opened


def play(made: Deployment, number: int = 200) -> list[bytes]:
    """Send a catalogue and events: one event twice, two to be refused; return the lines of the events."""
    for film in FILMS:
        made.item(film)
    lines = []
    for each in range(number):
        event = made.next_event(f"u{each % 7}", FILMS[(each * each + each // 7) % len(FILMS)])
        lines.append(_send(made, event))
    lines.append(_send(made, event))
    lines.append(_send(made, event | {"id": "from the past", "time": 5}))
    lines.append(b'{"id": "broken"')
    made.send(made.topics.events, "web:u1", lines[-1])
    return lines


def _send(made: Deployment, event: dict[str, Any]) -> bytes:
    line = msgspec.json.encode(event)
    made.send(made.topics.events, f"web:{event['user']}", line)
    return line


def names(report: Report, *sentences: str) -> None:
    for sentence in sentences:
        assert any(sentence in each for each in report.differences), report.differences
    for each in report.differences:
        assert any(sentence in each for sentence in sentences), each


def append(made: Deployment, topic: Topic, partition: int, key: bytes, value: bytes | None) -> None:
    """Append a record as no agent of ours would."""
    made.producer.send(topic.name, value, key, partition=partition).get(timeout=60)


def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "afresh.deploy.cli", "ledger", *arguments],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / ".src")} | variables(settings),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_audit_finds_nothing_without_faults_and_names_every_planted_error(
    made: Deployment, tmp_path: Path
) -> None:
    with made.running(made.process()):
        lines = play(made)
        file, out = tmp_path / "events.jsonl.gz", tmp_path / "report.json"
        file.write_bytes(gzip.compress(b"\n".join(lines)))
        done = command(made.settings, "--events", str(file), "--wait", str(WAIT_SECONDS), "--json", str(out))
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(out.read_text())
        assert report["file"] == {"total": 203, "counted": 200, "duplicates": 1, "refused": 2, "missing": 0}
        assert report["events"]["once"] == report["events"]["accepted"] == 200
        assert report["events"]["refused"] == report["events"]["dead_letters"] == 2
        assert {name: tally["equal"] for name, tally in report["tallies"].items()} == {
            "received": 2,
            "users": 7,
            "behaviour": 12,
            "intake": 12,
            "content": 12,
            "weights": 1,
            "lists": 7,
            "popular lists": 1,
        }
    # No worker runs from here on: it would repair the planted errors.
    lost_before_kafka(made, file)
    stale_list(made)
    wrong_row(made)
    doubled_event(made)
    lost_event(made)
    missing_dead_letter(made)


def lost_before_kafka(made: Deployment, file: Path) -> None:
    with gzip.open(file, "ab") as more:
        more.write(b"\n" + msgspec.json.encode(made.next_event("u1", "film 1")))
    done = command(made.settings, "--events", str(file))
    assert done.returncode == 1
    assert "file: the event 'event-201' (number 204) is not in Kafka" in done.stdout


def stale_list(made: Deployment) -> None:
    key = recommendations_key(made.settings.namespace, "web:u3")
    kept: Any = made.redis.get(key)
    older = msgspec.json.decode(kept, type=UserList)
    made.redis.set(key, msgspec.json.encode(msgspec.structs.replace(older, revision=older.revision - 1)))
    names(audit(made.settings), "the list of user 'web:u3' takes in")
    made.redis.delete(key)
    names(audit(made.settings), "lists: user 'web:u3' has no list")
    made.redis.set(key, kept)
    assert audit(made.settings).differences == []


def wrong_row(made: Deployment) -> None:
    """Plant one wrong bit in an item's row, and one event too many in a user's row."""
    item = b"film 1"
    partition = partition_of(item, made.settings.partitions)
    row = newest(made, made.topics.behaviour, item)
    flipped = row[:-1] + bytes([row[-1] ^ 1])
    append(made, made.topics.behaviour, partition, item, flipped)
    report = audit(made.settings)
    assert "behaviour: the row of item 'film 1' is wrong: pairs" in report.differences[0]
    append(made, made.topics.behaviour, partition, item, row)

    user = b"web:u2"
    partition = partition_of(user, made.settings.partitions)
    packed = newest(made, made.topics.users, user)
    more = users.unpack(packed)
    more.revision += 1
    append(made, made.topics.users, partition, user, users.pack(more))
    report = audit(made.settings)
    names(
        report,
        f"the row of user 'web:u2' is wrong: revision {more.revision} instead of",
        "the list of user 'web:u2'",
    )
    assert report.events.twice == 1
    append(made, made.topics.users, partition, user, packed)
    assert audit(made.settings).differences == []


def newest(made: Deployment, topic: Topic, key: bytes) -> bytes:
    row: bytes = [each.value for each in made.records(topic) if each.key == key][-1]
    return row


def doubled_event(made: Deployment) -> None:
    """Plant the newest interaction of a user a second time, with another offset of its source."""
    record = [each for each in made.records(made.topics.interactions) if each.partition == 0][-1]
    interaction = interaction_decoder.decode(record.value)
    doubled = msgspec.structs.replace(interaction, offset=100_000)
    append(made, made.topics.interactions, 0, record.key, encode(doubled))
    names(
        audit(made.settings), f"event '{interaction.event}'", "names the event", "which must not be counted"
    )


def lost_event(made: Deployment) -> None:
    """Plant an event that no worker turns into an interaction."""
    event = made.event("u1", "film 1")
    sentence = f"event '{event}' (user 'web:u1', item 'film 1') at "
    report = audit(made.settings)
    assert any(sentence in each and "is lost" in each for each in report.differences), report.differences
    assert report.events.missing == 1


def missing_dead_letter(made: Deployment) -> None:
    made.send(made.topics.events, "web:u1", b"no event")
    assert any("must be refused, but has no dead letter" in each for each in audit(made.settings).differences)


def test_a_backlog_that_no_worker_reads_is_a_difference(made: Deployment) -> None:
    made.event("ann", "film 1")
    report = audit(made.settings, wait_seconds=1.0)
    assert report.settled_seconds is None
    assert any("settling: after 1 s 1 records wait" in each for each in report.differences)


def test_two_deployments_of_the_same_events_are_equal(made: Deployment, tmp_path: Path) -> None:
    other = made.settings.model_copy(update={"namespace": f"{made.settings.namespace}-2"})
    with (
        deployment(other, tmp_path / "2") as again,
        made.running(made.process()),
        again.running(again.process()),
    ):
        for each in (made, again):
            play(each)
        report = audit(other, wait_seconds=WAIT_SECONDS)
        assert report.differences == []
        report = audit(made.settings, against=other.namespace, wait_seconds=WAIT_SECONDS)
        assert report.differences == []
        assert report.tallies["users of the other run"].equal == 7
        again.answer("u1", again.event("u1", "film 2"))
        report = audit(made.settings, against=other.namespace)
        assert any("users of the other run: user 'web:u1' differs" in each for each in report.differences)


def test_compacted_changelogs_show_no_difference(made: Deployment) -> None:
    compact(made)
    with made.running(made.process()):
        play(made)

        users = cycle(f"v{number}" for number in range(50))

        def compacted() -> bool:
            # Kafka closes and compacts a segment only when a record comes after the segment's time. Each event is of
            # another user: one user alone would soon give no more examples within the hour.
            made.event(next(users), FILMS[1])
            return bool(holes(made, made.topics.users) and holes(made, made.topics.behaviour))

        wait(compacted, "compaction", 120.0)
        assert audit(made.settings, wait_seconds=WAIT_SECONDS).differences == []


def holes(made: Deployment, topic: Topic) -> int:
    """Count the records that compaction has removed from a topic."""
    records = made.records(topic)
    last: dict[int, int] = {each.partition: each.offset for each in records}
    return sum(last.values()) + len(last) - len(records)


def compact(made: Deployment) -> None:
    """Let the broker compact the changelogs all the time."""
    config = {"segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "1000"}
    admin = KafkaAdminClient(**kafka_options(made.settings))
    try:
        for topic in (made.topics.users, made.topics.behaviour, made.topics.content, made.topics.received):
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=config)])
    finally:
        admin.close()


def test_topics_whose_first_records_are_gone_cannot_be_audited(made: Deployment) -> None:
    made.event("ann", "film 1")
    partition = partition_of(b"web:ann", made.settings.partitions)
    admin = KafkaAdminClient(**kafka_options(made.settings))
    try:
        admin.delete_records({TopicPartition(made.topics.events.name, partition): 1})
    finally:
        admin.close()
    with pytest.raises(AfreshError, match=r"the first 1 records of .*events-\d are gone"):
        audit(made.settings)


def test_missing_topics_and_unreachable_servers_are_reported_in_a_sentence(settings: Settings) -> None:
    done = command(settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert "run: afresh topics create" in done.stderr
    done = command(settings.model_copy(update={"kafka": "127.0.0.1:1", "start_timeout_seconds": 0.5}))
    assert done.returncode == 75
    assert done.stderr.count("\n") == 1
