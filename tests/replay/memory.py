"""The pipeline over logs in memory: the real agents, with runs of any length, and with crashes and restarts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import msgspec
from aiokafka.structs import ConsumerRecord

from afresh.state.catalogue.alone import AloneCatalogue
from afresh.state.judged.kept import Kept, unpack
from afresh.state.lists import PopularList, UserList
from afresh.state.store.changes import Change
from afresh.state.store.rocks import RocksStore
from afresh.state.store.rows import MemoryPartitions
from afresh.streams.kafka.app import create_app
from afresh.streams.kafka.follow import newest
from afresh.streams.kafka.incarnations import Incarnations
from afresh.streams.kafka.limits import BatchLimits
from afresh.streams.kafka.sender import Outgoing, OutgoingRecord, partition_of
from afresh.streams.kafka.tables import RunTable
from afresh.streams.runs.run import Assignment, KafkaRecord, Owned, Run
from afresh.streams.serving.lister import Lister
from afresh.streams.serving.policy import Policy
from afresh.streams.serving.recommend import Recommender
from afresh.streams.serving.users import TableUsers
from afresh.streams.settings import Settings
from afresh.streams.stages import STAGES
from afresh.streams.stages.assembly import StageSpec, make_stages, make_tables
from afresh.streams.stages.intake import Intake
from afresh.streams.stages.prepared import PreparedStage
from afresh.streams.stages.shared import Shared
from afresh.streams.topics import FIRST_PARTITION, Topics

GENERATION = 1

CLOCK = 1_700_000_000.0


class CrashError(Exception):
    """The process ends here: a signal to the test, not an AfreshError."""


class Made(Incarnations):
    """Incarnations of topics in memory: how often each was made."""

    def __init__(self, again: Counter[str]) -> None:
        super().__init__()
        self._again = Counter(again)

    def of(self, topic: str) -> int:
        return 1 + self._again[topic]


class Log:
    """Topics in memory: lists of records by topic and partition."""

    def __init__(self) -> None:
        self.partitions: defaultdict[tuple[str, int], list[KafkaRecord]] = defaultdict(list)
        self.made_again: Counter[str] = Counter()

    def make_again(self, topic: str) -> None:
        """Delete a topic and make it again: it is empty, and another one."""
        self.made_again[topic] += 1
        for name, partition in list(self.partitions):
            if name == topic:
                self.partitions[name, partition].clear()

    def append(self, topic: str, partition: int, record: OutgoingRecord) -> None:
        """Append a record as a broker would."""
        log = self.partitions[topic, partition]
        log.append(
            ConsumerRecord(
                topic=topic,
                partition=partition,
                offset=len(log),
                timestamp=int(CLOCK * 1000),
                timestamp_type=0,
                key=record.key,
                value=record.value,
                checksum=None,
                serialized_key_size=0,
                serialized_value_size=0,
                headers=tuple(record.headers),
            )
        )

    def values(self, topic: str) -> dict[int, list[tuple[bytes | None, bytes | None]]]:
        """Return the keys and values of a topic, by partition."""
        return {
            partition: [(record.key, record.value) for record in records]
            for (name, partition), records in sorted(self.partitions.items())
            if name == topic
        }


class MemoryInputs:
    """Reads the inputs of a log, as ``streams.kafka.inputs.KafkaInputs`` reads those of Kafka."""

    def __init__(self, log: Log, committed: Mapping[tuple[str, int], int]) -> None:
        self._log = log
        # Of the moment at which the workers begin, as an earlier program left it.
        self._committed = dict(committed)
        self.kept_ms = 1_000_000

    async def tombstones_ms(self, topic: str) -> int:
        return self.kept_ms

    @asynccontextmanager
    async def open(self, topic: str, partition: int) -> AsyncIterator[MemoryInputPartition]:
        place = topic, partition
        yield MemoryInputPartition(self._log.partitions[place], self._committed.get(place, 0))


class MemoryInputPartition:
    """A partition of an input in memory."""

    def __init__(self, records: Sequence[KafkaRecord], committed: int) -> None:
        self.committed = committed
        self.end = records[-1].offset + 1 if records else 0
        self._records = records

    async def records(self, until: int) -> AsyncIterator[Sequence[KafkaRecord]]:
        yield [record for record in self._records if record.offset < until]


class Store:
    """A list store that behaves like Redis."""

    def __init__(self) -> None:
        self.lists: dict[str, UserList] = {}

    async def push(self, lists: Sequence[UserList], users: Sequence[Sequence[str]]) -> int:
        for made, accounts in zip(lists, users, strict=True):
            self.lists.update(dict.fromkeys(accounts, made))
        return 0

    async def push_popular(self, lists: Sequence[PopularList]) -> int:
        return 0


@dataclass
class MemoryRunner:
    """Writes effects to the log in the order of ``streams.runs.runner.Runner``; crashes on demand."""

    log: Log
    crash: Callable[[str], bool] = lambda _: False
    stage: str = ""

    async def write(self, owned: Owned, outgoing: Outgoing, table: RunTable, change: Change) -> None:
        for (topic, partition), records in outgoing.batches.items():
            for record in records:
                self.log.append(topic, partition, record)
        if self.crash(f"{self.stage}: sent"):
            raise CrashError
        changelog = table.changelog_topic.get_topic_name()
        first = len(self.log.partitions[changelog, owned.partition])
        for key, row in change.records():
            self.log.append(changelog, owned.partition, OutgoingRecord(key, row))
        if self.crash(f"{self.stage}: acknowledged"):
            raise CrashError
        change.apply(first)
        if self.crash(f"{self.stage}: written"):
            raise CrashError


@dataclass
class Pipeline:
    """The agents over a log. A new pipeline over an old log is a restart: it recovers tables from their changelogs."""

    settings: Settings
    log: Log = field(default_factory=Log)
    committed: dict[tuple[str, int], int] = field(default_factory=dict)
    crash: Callable[[str], bool] = lambda _: False
    rows_of_stages: Sequence[StageSpec] = STAGES
    own_topics: Topics | None = None
    limits: BatchLimits | None = None

    def __post_init__(self) -> None:
        settings = self.settings
        self.topics = topics = self.own_topics or Topics(settings)
        app = create_app(settings, settings.namespace, self.limits)
        names = [row.table for row in self.rows_of_stages]
        self.store_of_rows = (
            RocksStore(settings.data_dir / "rows", names) if settings.state == "rocksdb" else None
        )
        self.recovered: Counter[str] = Counter()
        self.catalogue = AloneCatalogue(declared=settings.item_vectors)
        self.store = Store()
        rows = self.store_of_rows.partitions if self.store_of_rows else lambda _: MemoryPartitions()
        self.tables = make_tables(
            app,
            settings,
            topics,
            self.rows_of_stages,
            rows,
            lambda name: partial(self._count_recovered, name),
        )
        self.recommender = Recommender(
            self.catalogue,
            self.store,  # type: ignore[arg-type]
            Lister(self.catalogue, settings.list_size, policy=Policy.of(settings), now=lambda: CLOCK),
            TableUsers(self.tables["users"], lambda: set(range(settings.partitions))),
        )
        self._applied: dict[tuple[str, int], int] = {}
        self._recover()
        shared = Shared(settings, topics, self.recommender, Made(self.log.made_again))
        self.stages = make_stages(self.rows_of_stages, self.tables, shared, self._runner)
        self.inputs = MemoryInputs(self.log, self.committed)
        for stage in self.stages.values():
            if isinstance(stage, Intake):
                stage.inputs, stage.clock = self.inputs, lambda: CLOCK
        self.agents: dict[str, Callable[[Run], Any]] = {
            topics.named(source).name: self.stages[row.name].process
            for row in self.rows_of_stages
            for source in row.sources
        }

    def _runner(self, row: StageSpec) -> Any:
        return MemoryRunner(self.log, self.crash, row.name)

    def _count_recovered(self, table: str, count: int) -> None:
        self.recovered[table] += count

    def close(self) -> None:
        """Close the rows on disk, so that the next pipeline can open them."""
        if self.store_of_rows:
            self.store_of_rows.close()

    def _recover(self) -> None:
        for table in self.tables.values():
            name = table.changelog_topic.get_topic_name()
            for (topic, partition), records in self.log.partitions.items():
                if topic == name and records:
                    event: Any = SimpleNamespace(message=SimpleNamespace(partition=partition, value=records))
                    table.apply_changelog_batch([event])
        self.follow()

    def follow(self) -> None:
        """Update the Catalogue from the changelogs."""
        for table, apply in (
            ("behaviour", self.catalogue.apply_behaviour),
            ("content", self.catalogue.apply_content),
            ("weights", self.recommender.weights.apply),
        ):
            name = self.tables[table].changelog_topic.get_topic_name()
            for partition in range(self.settings.partitions):
                records = self.log.partitions[name, partition]
                start = self._applied.get((name, partition), 0)
                latest = newest(records[start:], self.settings.partitions)
                self._applied[name, partition] = len(records)
                if latest:
                    apply(latest)
        self.catalogue.derive()

    def feed(self, topic: str, key: str, value: Any) -> None:
        """Append a record as a producer would; a value that is not bytes is sent as JSON."""
        encoded = value if isinstance(value, bytes | None) else msgspec.json.encode(value)
        partition = partition_of(key.encode(), self.settings.partitions)
        self.log.append(topic, partition, OutgoingRecord(key.encode(), encoded))

    def event(self, **fields: Any) -> None:
        """Append an event, with defaults for missing fields."""
        event = {
            "type": "view",
            "time": int(CLOCK * 1000) - 10_000_000,
            "platform": "web",
            "domain": "films",
            "user": "ann",
            "item": "i1",
        } | fields
        self.feed(self.topics.events.name, f"{event['platform']}:{event['user']}", event)

    def item(self, name: str, **fields: Any) -> None:
        """Append an item of the catalogue."""
        self.feed(self.topics.items.name, name, {"id": name, "domain": "films", "title": name} | fields)

    def waiting(self) -> Iterator[tuple[str, int]]:
        """Return the topics and partitions with records that no agent has taken in."""
        for topic in self.agents:
            for partition in range(self.settings.partitions):
                if self.committed.get((topic, partition), 0) < len(self.log.partitions[topic, partition]):
                    yield topic, partition

    async def step(self, topic: str, partition: int, length: int) -> None:
        """Hand an agent one run of at most ``length`` records, and commit it."""
        start = self.committed.get((topic, partition), 0)
        records = self.log.partitions[topic, partition][start : start + length]
        message = SimpleNamespace(topic=topic, partition=partition, generation_id=GENERATION)
        event: Any = SimpleNamespace(message=message, value=records, ack=lambda: None)
        await self.agents[topic](Run(event, records))
        await self.recommender.turn()
        self.committed[topic, partition] = start + len(records)

    async def settle(self) -> None:
        """Prepare the partitions, as a worker does before its first event."""
        for stage in self.stages.values():
            if isinstance(stage, PreparedStage):
                for partition in range(self.settings.partitions):
                    await stage.settle(Assignment(partition, GENERATION))
        self.follow()

    async def drain(self, length: Callable[[], int] = lambda: 1000) -> None:
        """Run the agents until nothing waits, with runs of these lengths."""
        await self.settle()
        while waiting := list(self.waiting()):
            for topic, partition in waiting:
                await self.step(topic, partition, length())
            self.follow()

    def kept(self) -> Kept:
        """Return what the one who learns the weights keeps."""
        return unpack(self.tables["weights"].change(FIRST_PARTITION).agent_state)

    def letters(self) -> list[KafkaRecord]:
        """Return all dead letters."""
        topic = self.topics.dead_letters.name
        return [
            record
            for (name, _), records in self.log.partitions.items()
            if name == topic
            for record in records
        ]

    def rows(self) -> dict[str, dict[int, dict[bytes, bytes]]]:
        """Return the rows of every table, by partition."""
        held = {
            name: {
                partition: dict(table.rows[partition].items())
                for partition in range(self.settings.partitions)
            }
            for name, table in self.tables.items()
        }
        return {name: {p: rows for p, rows in table.items() if rows} for name, table in held.items()}
