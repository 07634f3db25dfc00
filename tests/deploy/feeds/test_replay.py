import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaConsumer, TopicPartition

from afresh.deploy.feeds.feed import Fed, FeedRecord
from afresh.deploy.feeds.replay import event_records, feed_items, item_records, parse_time, replay
from afresh.state.errors import AfreshError
from afresh.streams.kafka.admin import create_topics
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

MALFORMED = [
    b"not JSON",
    b"\xff\xfe",
    b'{"id": "\xff"}',
    b"{}",
    b'{"id":"e","type":"dance","time":1,"user":"u","item":"i","platform":"web","domain":"films"}',
    b'{"id":"e","type":"view","time":"now","user":"u","item":"i","platform":"web","domain":"films"}',
    b'{"id":"e","type":"view","time":1,"user":"\\ud800","item":"i","platform":"web","domain":"films"}',
    b"[" * 100_000,
    "🙂".encode(),
]

NO_ITEMS = [
    *(line for line in MALFORMED if b'"item"' not in line),
    b'{"id":"","domain":"films"}',
    b'{"id":7.5,"domain":"films"}',
    b'{"id":"film-1","domain":"films","available":["a","b"]}',
]


def event(number: int, user: str = "ann", time: int | str = 1_700_000_000_000, **others: Any) -> bytes:
    fields = {"id": f"e{number}", "type": "view", "time": time, "user": user, "item": "i", "platform": "web"}
    return json.dumps(fields | {"domain": "films"} | others).encode()


def item(name: str) -> bytes:
    return json.dumps({"id": name, "domain": "films", "title": "A film"}).encode()


def write(path: Path, lines: list[bytes]) -> str:
    data = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def records_of(settings: Settings, topic: str, count: int) -> list[Any]:
    """Read the first ``count`` records of a topic, or some more; the records of each partition are in order."""
    consumer = KafkaConsumer(bootstrap_servers=settings.brokers, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, number) for number in range(settings.partitions)])
    found: list[Any] = []
    for _ in range(100):
        found += [record for records in consumer.poll(timeout_ms=200).values() for record in records]
        if len(found) >= count:
            break
    consumer.close()
    return found


@pytest.fixture(params=["settings", "embedded_settings"])
def either(request: pytest.FixtureRequest) -> Settings:
    """Create the topics of a deployment, once on the genuine Kafka and once on the embedded broker."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Settings)
    create_topics(found)
    return found


def test_the_events_of_a_user_stay_in_order_on_one_partition(either: Settings, tmp_path: Path) -> None:
    users = ["ann", "bob", "a user with spaces", "🙂"]
    lines = [event(number, user=users[number * 7 % 4]) for number in range(400)]
    fed = replay(either, write(tmp_path / "events.jsonl", lines))
    assert (fed.sent, fed.malformed, fed.left_out) == (400, 0, 0)

    partitions = defaultdict(set)
    values = defaultdict(list)
    for record in records_of(either, Topics(either).events.name, 400):
        partitions[record.key].add(record.partition)
        values[record.key].append(record.value)
    assert set(values) == {f"web:{user}".encode() for user in users}
    assert all(len(where) == 1 for where in partitions.values())
    assert len({next(iter(where)) for where in partitions.values()}) == 2
    for index, user in enumerate(users):
        mine = [line for number, line in enumerate(lines) if number * 7 % 4 == index]
        assert values[f"web:{user}".encode()] == mine


def test_malformed_lines_are_sent_unchanged_and_counted(either: Settings, tmp_path: Path) -> None:
    fed = replay(either, write(tmp_path / "events.jsonl", [event(1), *MALFORMED, event(2)]))
    assert (fed.sent, fed.malformed) == (len(MALFORMED) + 2, len(MALFORMED))
    found = records_of(either, Topics(either).events.name, fed.sent)
    assert sorted(record.value for record in found if record.key is None) == sorted(MALFORMED)


def test_a_gzipped_file_is_sent_like_a_plain_one(either: Settings, tmp_path: Path) -> None:
    fed = replay(either, write(tmp_path / "events.jsonl.gz", [event(1), event(2)]))
    found = records_of(either, Topics(either).events.name, fed.sent)
    assert [record.value for record in found] == [event(1), event(2)]


def test_only_events_of_the_time_range_are_sent(settings: Settings, tmp_path: Path) -> None:
    create_topics(settings)
    lines = [event(number, time=number) for number in range(10)]
    fed = replay(settings, write(tmp_path / "events.jsonl", lines), since=3, until=6)
    assert (fed.sent, fed.left_out) == (3, 7)
    found = records_of(settings, Topics(settings).events.name, 3)
    assert [record.value for record in found] == lines[3:6]


def test_items_are_keyed_by_their_id_and_malformed_items_are_left_out(
    either: Settings, tmp_path: Path
) -> None:
    lines = [item("film-1"), b"no item", item("🙂"), b'{"domain": "films"}']
    fed = feed_items(either, write(tmp_path / "items.jsonl", lines))
    assert (fed.sent, fed.malformed, fed.left_out) == (2, 2, 2)
    found = {record.key: record.value for record in records_of(either, Topics(either).items.name, 2)}
    assert found == {b"film-1": item("film-1"), "🙂".encode(): item("🙂")}


@pytest.mark.parametrize("line", MALFORMED)
def test_a_malformed_event_has_no_key(line: bytes) -> None:
    fed = Fed()
    assert list(event_records([line], fed)) == [FeedRecord(None, line)]
    assert fed.malformed == 1


@pytest.mark.parametrize("line", MALFORMED)
def test_a_malformed_event_has_no_time_and_is_left_out_of_a_time_range(line: bytes) -> None:
    fed = Fed()
    assert list(event_records([line], fed, since=0)) == []
    assert (fed.malformed, fed.left_out) == (1, 1)


@pytest.mark.parametrize("line", NO_ITEMS)
def test_a_malformed_item_gives_no_record(line: bytes) -> None:
    assert list(item_records([line], Fed())) == []


def test_lines_that_are_taken_generously_have_the_keys_that_the_checks_ask_for() -> None:
    line = event(1).replace(b'"ann"', b"7")
    assert list(event_records([line], Fed())) == [FeedRecord(b"web:7", line)]
    line = b'{"id":7,"domain":"films","title":null}'
    fed = Fed()
    assert list(item_records([line], fed)) == [FeedRecord(b"7", line)]
    assert fed.malformed == 0


@given(st.binary())
def test_no_line_stops_a_feed(line: bytes) -> None:
    assert [record.value for record in event_records([line], Fed())] == [line]
    assert len(list(item_records([line], Fed()))) <= 1


def test_consecutive_time_ranges_send_every_event_once() -> None:
    lines = [event(number, time=number) for number in range(20)]
    ranges = [event_records(lines, Fed(), since, since + 5) for since in range(0, 20, 5)]
    assert [record.value for records in ranges for record in records] == lines


@pytest.mark.parametrize(
    "time",
    ["2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", "2023-11-14T22:13:20.000Z", 1_700_000_000_000],
)
def test_a_time_is_the_same_moment_however_it_is_written(time: int | str) -> None:
    line = event(1, time=time)
    at, after = 1_700_000_000_000, 1_700_000_000_001
    assert len(list(event_records([line], Fed(), at, after))) == 1
    assert not list(event_records([line], Fed(), None, at))
    assert not list(event_records([line], Fed(), after, None))


@given(st.datetimes(timezones=st.timezones()))
def test_a_time_is_read_to_the_millisecond(moment: Any) -> None:
    written = moment.isoformat(timespec="milliseconds")
    seconds = parse_time(written) / 1000
    assert seconds == pytest.approx(moment.timestamp(), abs=0.001)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-23", "2026-11-23T16:40:00", "12:00Z"])
def test_a_time_without_an_offset_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(AfreshError, match="is no time; write 2026-11-23T16:40:00Z"):
        parse_time(text)


def test_a_missing_topic_gives_an_error_that_says_what_to_do(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(AfreshError, match="afresh topics create"):
        replay(settings, write(tmp_path / "events.jsonl", [event(1)]))
