"""Makers of records, runs, producers, a list store, users and catalogues for the tests of streams."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Any, Protocol

import msgspec
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from afresh.state.catalogue.alone import AloneCatalogue
from afresh.state.keys import key_of
from afresh.state.lists import Due, Found, PopularList, UserList
from afresh.state.records import Interaction
from afresh.state.rows import content
from afresh.state.rows.behaviour import BehaviourRows
from afresh.state.rows.content import ContentRow
from afresh.state.rows.details import UNKNOWN
from afresh.state.rows.users import UserRow, packed_key
from afresh.streams.kafka.limits import PRODUCER_BYTES
from afresh.streams.runs.run import KafkaRecord, Run

GENERATION = 3


class FollowsItems(Protocol):
    """What takes in the rows of items."""

    def apply_behaviour(self, latest: Mapping[bytes, bytes | None]) -> None:
        """Take in the newest behaviour rows, by item id."""

    def apply_content(self, latest: Mapping[bytes, bytes | None]) -> None:
        """Take in the newest content rows, by item id."""


def record(
    value: bytes | None,
    key: bytes | None = b"key",
    topic: str = "test.events",
    partition: int = 0,
    offset: int = 0,
    timestamp: int = 1_700_000_000_000,
) -> KafkaRecord:
    """Make a record as Kafka delivers it."""
    return ConsumerRecord(
        topic,
        partition,
        offset,
        timestamp,
        0,
        key,
        value,
        None,
        0,
        0,
        (),
    )


@dataclass
class FakeEvent:
    """A Faust event that carries a run and counts its acknowledgements."""

    value: Sequence[KafkaRecord]
    acks: int = 0
    message: Any = field(init=False)

    def __post_init__(self) -> None:
        last = self.value[-1]
        self.message = SimpleNamespace(
            topic=last.topic,
            partition=last.partition,
            offset=last.offset,
            tp=TP(last.topic, last.partition),
            generation_id=GENERATION,
            acked=False,
        )

    def ack(self) -> None:
        self.acks += 1
        self.message.acked = True


def run_of(*records: KafkaRecord) -> tuple[Run, FakeEvent]:
    """Make a run and its Faust event."""
    event: Any = FakeEvent(records or (record(b"1"),))
    return Run(event, event.value), event


class FakeProducer:
    """A producer with batches like aiokafka's; the first batches fail with ``failures``, one each."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.tried = 0
        self.batches: list[tuple[str, int, list[tuple[bytes | None, bytes | None]]]] = []
        self.headers: list[Any] = []
        self.ends: Counter[tuple[str, int]] = Counter()

    def create_batch(self) -> Any:
        batch = BatchBuilder(PRODUCER_BYTES, 0)
        taken: list[tuple[bytes | None, bytes | None]] = []

        def append(*, timestamp: None, key: bytes | None, value: bytes | None, headers: Any) -> Any:
            added = batch.append(timestamp=timestamp, key=key, value=value, headers=headers)
            if added is not None:
                taken.append((key, value))
                self.headers.append(headers)
            return added

        return SimpleNamespace(append=append, size=batch.size, taken=taken)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        self.tried += 1
        acknowledged = asyncio.get_running_loop().create_future()
        if self.failures:
            acknowledged.set_exception(self.failures.pop(0))
        else:
            self.batches.append((topic, partition, batch.taken))
            acknowledged.set_result(SimpleNamespace(offset=self.ends[topic, partition]))
            self.ends[topic, partition] += len(batch.taken)
        await asyncio.sleep(0)
        return acknowledged

    def values(self, topic: str) -> dict[int, list[bytes | None]]:
        """Return the values that the producer took for a topic, by partition."""
        values: dict[int, list[bytes | None]] = {}
        for name, partition, records in self.batches:
            if name == topic:
                values.setdefault(partition, []).extend(value for _, value in records)
        return values


def user_row(*items: str, revision: int = 1, seconds: int = 60) -> UserRow:
    """Make the row of a user who took the items in this order, ``seconds`` apart."""
    row = UserRow(since=5)
    for number, item in enumerate(items):
        key = packed_key(item)
        row.take(0, key, number * seconds * 1000, UNKNOWN)
    row.fold_event(f"e{revision}", packed_key(f"e{revision}"), 0, 5, "films")
    row.revision = revision
    return row


def took(item: str, user: str = "ann", **fields: Any) -> Interaction:
    """Make the interaction of a user who takes an item."""
    made = Interaction(0, 0, 0, "e1", "view", 0, user, item, "web", "films")
    return msgspec.structs.replace(made, **fields)


def event_json(**fields: Any) -> bytes:
    """Make an event as a producer would, with defaults for missing fields."""
    event = {
        "id": "e1",
        "type": "view",
        "time": 1_699_990_000_000,
        "user": "ann",
        "item": "i1",
        "platform": "web",
        "domain": "films",
    }
    return msgspec.json.encode({name: value for name, value in (event | fields).items() if value is not ...})


def packed_size(records: Iterable[tuple[bytes, bytes | None]]) -> int:
    """Return the total size of keys and rows, in bytes."""
    return sum(len(key) + len(row or b"") for key, row in records)


def found(held: UserList | PopularList | None, due: Due) -> Found:
    """Say how a list stands."""
    if held is None:
        return "missing"
    age = (held.since, held.revision, held.generated_at)
    return "right" if age >= (due.since, due.revision, due.generated_at) else "stale"


class FakeStore:
    """A list store like Redis; it can be down."""

    def __init__(self) -> None:
        self.pushes: list[list[UserList]] = []
        self.popular: list[list[PopularList]] = []
        self.failures: list[Exception] = []
        self.up = asyncio.Event()
        self.up.set()
        self.lost = False
        self.policy = ""
        self.held: dict[str, UserList] = {}
        self.held_popular: dict[str, PopularList] = {}
        self.looks: list[Mapping[str, Due]] = []

    async def push(self, lists: Sequence[UserList], users: Sequence[Sequence[str]]) -> int:
        await self.up.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.pushes.append(list(lists))
        for each, accounts in zip(lists, users, strict=True):
            self.held |= dict.fromkeys(accounts, each)
        return sum(each.user == "withheld" for each in lists)

    async def push_popular(self, lists: Sequence[PopularList]) -> int:
        self.popular.append(list(lists))
        self.held_popular |= {each.domain: each for each in lists}
        return 0

    async def look(self, users: Mapping[str, Due]) -> dict[str, Found]:
        if self.failures:
            raise self.failures.pop(0)
        self.looks.append(users)
        return {user: found(self.held.get(user), due) for user, due in users.items()}

    async def look_at_popular(self, domains: Mapping[str, Due]) -> dict[str, Found]:
        return {domain: found(self.held_popular.get(domain), due) for domain, due in domains.items()}

    async def eviction(self) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return self.policy

    async def has_lost(self) -> bool:
        if self.failures:
            raise self.failures.pop(0)
        return self.lost


class FakeUsers:
    """A table of users; all its partitions are ours."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, bytes]] = {}

    def partitions(self) -> set[int]:
        return set(self.rows)

    def names(self, partition: int) -> list[str]:
        return list(self.rows[partition])

    def row(self, partition: int, user: str) -> bytes | None:
        return self.rows[partition].get(user)


async def let_others_run() -> None:
    """Give the other tasks of the event loop some turns."""
    for _ in range(20):
        await asyncio.sleep(0)


def describe(catalogue: FollowsItems, *items: str, **fields: Any) -> None:
    """Apply content rows of items to the catalogue."""
    row = content.pack(ContentRow(**({"domain": "films"} | fields)))
    catalogue.apply_content({item.encode(): row for item in items})


def count(
    catalogue: FollowsItems, counts: dict[str, float], neighbours: dict[str, dict[str, float]] | None = None
) -> None:
    """Apply behaviour rows of items to the catalogue, with these counts."""
    rows = BehaviourRows({})
    for item, number in counts.items():
        number_of_item = rows.number_of(item.encode())
        row = rows.array[number_of_item]
        near = (neighbours or {}).get(item, {})
        row["counts"][:], row["mass"] = number, sum(near.values())
        row["pairs"]["key"][: len(near)] = [key_of(other) for other in near]
        row["pairs"]["weight"][: len(near)] = list(near.values())
    catalogue.apply_behaviour({item.encode(): rows.packed(rows.number[item.encode()]) for item in counts})


def catalogue_of(*items: str) -> AloneCatalogue:
    """Make a catalogue of films: the first is taken most often, and the first five are neighbours of all."""
    catalogue = AloneCatalogue()
    describe(catalogue, *items)
    if items:
        near = {
            item: {other: 1.0 + place for place, other in enumerate(items[:5]) if other != item}
            for item in items
        }
        count(catalogue, {item: float(len(items) - place) for place, item in enumerate(items)}, near)
    return catalogue


def read_page(port: int, path: str) -> tuple[int, str]:
    """Return status and text of a page of a worker on this machine."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
