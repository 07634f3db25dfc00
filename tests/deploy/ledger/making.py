"""Topics in memory, filled by the real agents, for tests to audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from afresh.deploy.ledger.auditing import judge
from afresh.deploy.ledger.events import Outcomes
from afresh.deploy.ledger.reading import ReadRecord
from afresh.deploy.ledger.report import Report
from afresh.deploy.ledger.served import ListsInRedis
from afresh.state.rows import users
from afresh.state.rows.merging import accounts_of
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.serving.lister import Lister, Recipient
from afresh.streams.serving.policy import Policy
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic
from tests.replay.memory import CLOCK, Log, Pipeline
from tests.replay.test_replay import fill

EVENTS = 300


class MemoryLogs:
    """Reads topics in memory as the audit reads those of Kafka."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def incarnation(self, topic: Topic) -> int:
        return 1 + self._log.made_again[topic.name]

    def records(self, topic: Topic, partition: int) -> Iterator[ReadRecord]:
        return iter(self._log.partitions[topic.name, partition])


def settings_of(folder: Path) -> Settings:
    return Settings(_env_file=None, partitions=2, data_dir=folder, list_size=5, encoder="none")


async def played(
    settings: Settings, length: Callable[[], int] = lambda: 20, events: int = EVENTS
) -> Pipeline:
    """Play events until no record waits; some events come twice, and some are broken."""
    pipeline = Pipeline(settings)
    spoil(pipeline, events)
    await pipeline.drain(length)
    return pipeline


def spoil(pipeline: Pipeline, events: int = EVENTS) -> None:
    """Feed events, one of them twice, and some records that must be refused."""
    fill(pipeline, events)
    pipeline.event(id="twice", user="u1")
    pipeline.event(id="twice", user="u1")
    pipeline.event(id="early", user="u1", time=0)
    pipeline.feed(pipeline.topics.events.name, "web:u1", b"{broken")
    pipeline.feed(pipeline.topics.items.name, "i1", b"no item")


def lists_of(pipeline: Pipeline) -> ListsInRedis:
    """Make the lists that follow from the newest rows."""
    settings = pipeline.settings
    lister = Lister(pipeline.catalogue, settings.list_size, policy=Policy.of(settings), now=lambda: CLOCK)
    made: dict[str, bytes] = {}
    learned = pipeline.kept().fusion.weights()
    for partition, rows in pipeline.rows()["users"].items():
        for key, packed in rows.items():
            if key != PARTITION_ROW_KEY and not (row := users.unpack(packed)).to:
                recipient = Recipient(key.decode(), partition, row, 0)
                ((made_list, _),) = lister.make([recipient], learned)
                made |= dict.fromkeys(accounts_of(row, made_list.user), msgspec.json.encode(made_list))
    return ListsInRedis(made, {each.domain: msgspec.json.encode(each) for each, _ in lister.popular(learned)})


def judged(
    pipeline: Pipeline, served: ListsInRedis | None = None, outcomes: Outcomes | None = None
) -> Report:
    """Audit the topics of a pipeline; without ``served``, with the lists that follow from its newest rows."""
    report = Report()
    judge(
        pipeline.settings,
        MemoryLogs(pipeline.log),
        lists_of(pipeline) if served is None else served,
        report,
        {} if outcomes is None else outcomes,
    )
    report.tell_the_rest()
    return report
