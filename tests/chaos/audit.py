"""At the end: is everything that Kafka took counted once, and does Redis show it?

Read from Kafka and Redis alone, with the decoders of the pipeline but none of its bookkeeping.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition
from redis import Redis

from state import behaviour, content, users
from state.lists import UserList
from state.marks import PARTITION_ROW_KEY
from state.records import POSITIVE
from streams.messages import Event, event_decoder
from streams.settings import Settings
from streams.topics import Topic, Topics

EARLIEST_MS = 631_152_000_000


@dataclass
class Audit:
    """What was found.

    Attributes
    ----------
    events
        Events that Kafka took, duplicates of the same id counted once.
    lost, doubled
        Events missing from user rows, item rows or dead letters, and events counted there too often.
    rows_wrong, lists_stale
        Rows that differ from what the events say, and lists that do not show their user's row.
    details
        The first of each, in words.
    """

    events: int = 0
    lost: int = 0
    doubled: int = 0
    rows_wrong: int = 0
    lists_stale: int = 0
    details: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.lost or self.doubled or self.rows_wrong or self.lists_stale)

    def compare(self, what: str, wanted: Counter[str], found: Counter[str]) -> None:
        """Compare counts by key."""
        for key in sorted(wanted.keys() | found.keys()):
            difference = found[key] - wanted[key]
            if difference:
                self.rows_wrong += 1
                self.lost += max(-difference, 0)
                self.doubled += max(difference, 0)
                self.details.append(f"{what} {key}: {found[key]} counted, {wanted[key]} sent")


def audit(settings: Settings) -> Audit:
    """Compare what was sent with what was counted and with what is shown."""
    topics = Topics(settings)
    result = Audit()
    by_user: Counter[str] = Counter()
    by_item: Counter[str] = Counter()
    poison: Counter[str] = Counter()
    known: set[str] = set()
    last: dict[str, str] = {}
    for record in records(settings, topics.events):
        event = decode(record.value, settings.text_limit_bytes)
        if event is None:
            poison[f"{record.partition}:{record.offset}"] += 1
        elif event.id not in known:
            known.add(event.id)
            user = f"{event.platform}:{event.user}"
            by_user[user] += 1
            last[user] = event.id
            by_item[event.item] += event.type in POSITIVE
    result.events = len(known) + len(poison)
    rows = {key.decode(): users.unpack(row) for key, row in newest(settings, topics.users).items()}
    result.compare("user", by_user, Counter({user: row.revision for user, row in rows.items()}))
    items = newest(settings, topics.behaviour)
    examples = behaviour.unpack(items.values())["examples"].tolist() if items else []
    counted = Counter({key.decode(): count for key, count in zip(items, examples, strict=True)})
    result.compare("item", +by_item, +counted)
    letters = {_source(record) for record in records(settings, topics.dead_letters)}
    result.compare("dead letter", poison, Counter(letters))
    _check_lists(settings, rows, last, result)
    _check_embeddings(settings, result)
    return result


def _source(letter: Any) -> str:
    headers = {name: value.decode() for name, value in letter.headers}
    return f"{headers['partition']}:{headers['offset']}"


def _check_lists(
    settings: Settings, rows: dict[str, users.UserRow], last: dict[str, str], result: Audit
) -> None:
    """Every user's list shows the row as it is now."""
    with Redis.from_url(settings.redis.get_secret_value()) as redis:
        for user, row in rows.items():
            found: Any = redis.get(f"{settings.namespace}:recommendations:{user}")
            made = found and msgspec.json.decode(found, type=UserList)
            if not made or (made.revision, made.last_event) != (row.revision, row.last_event):
                result.lists_stale += 1
                shown = f"revision {made.revision}" if made else "nothing"
                result.details.append(f"list of {user}: {shown}, the row has {row.revision}")
            if row.last_event != last.get(user):
                result.rows_wrong += 1
                result.details.append(f"user {user}: last event {row.last_event}, not {last.get(user)}")


def _check_embeddings(settings: Settings, result: Audit) -> None:
    """Every text has its embedding."""
    topics = Topics(settings)
    rows = newest(settings, topics.content)
    wanted = {record.key: record.value for record in records(settings, topics.items)}
    alive = {key for key, value in wanted.items() if value is not None}
    for key in alive ^ rows.keys():
        result.rows_wrong += 1
        result.details.append(f"item {key.decode()}: there is {'no' if key in alive else 'still a'} row")
    for key, packed in rows.items():
        if not content.unpack(packed).embedding:
            result.rows_wrong += 1
            result.details.append(f"item {key.decode()}: no embedding")


def decode(value: bytes | None, limit: int) -> Event | None:
    """Decode an event, or None for what must become a dead letter."""
    if value is None or len(value) > limit:
        return None
    try:
        event = event_decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    early = isinstance(event.time, int) and event.time < EARLIEST_MS
    return None if early or event.version != 1 else event


def newest(settings: Settings, topic: Topic) -> dict[bytes, bytes]:
    """Newest value of each key of a changelog, the rows of partitions left out."""
    found = {record.key: record.value for record in records(settings, topic)}
    return {key: value for key, value in found.items() if key != PARTITION_ROW_KEY and value is not None}


def records(settings: Settings, topic: Topic) -> Iterator[Any]:
    """Everything that stands in a topic now, each partition in its order."""
    places = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
    consumer = KafkaConsumer(bootstrap_servers=settings.brokers, auto_offset_reset="earliest")
    try:
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        consumer.seek_to_beginning(*places)
        while any(consumer.position(place) < ends[place] for place in places):
            for batch in consumer.poll(timeout_ms=500).values():
                yield from batch
    finally:
        consumer.close()


def backlog(settings: Settings) -> int:
    """Records that the workers have not finished with."""
    topics = Topics(settings)
    sources = (topics.events, topics.interactions, topics.examples, topics.items, topics.embeddings)
    places = [TopicPartition(topic.name, number) for topic in sources for number in range(topic.partitions)]
    consumer = KafkaConsumer(
        bootstrap_servers=settings.brokers, group_id=settings.namespace, enable_auto_commit=False
    )
    try:
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        return int(sum(ends[place] - (consumer.committed(place) or 0) for place in places))
    finally:
        consumer.close(autocommit=False)
