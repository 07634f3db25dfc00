"""Runs in sequence: topics of the same rows take turns, no run fails silently, and repeats are reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import REGISTRY

from afresh.state.rows import content as rows
from afresh.streams.kafka.app import create_app
from afresh.streams.kafka.sender import Outgoing
from afresh.streams.kafka.tables import RunTable
from afresh.streams.kafka.writes import PATIENCE_SECONDS, Writes
from afresh.streams.messages import Embedding, Item, KeyedRecord, encode, keyed_key
from afresh.streams.runs.run import Run, RunDroppedError
from afresh.streams.runs.runner import Runner
from afresh.streams.settings import Settings
from afresh.streams.stages.content import Content
from afresh.streams.stages.shared import Shared
from afresh.streams.topics import Topics
from tests.streams.making import FakeEvent, record, run_of
from tests.streams.runs.test_runner import FakeApp, FakeStream, event_of


async def test_items_and_embeddings_of_a_partition_do_not_overwrite_each_other(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, partitions=1, namespace="test")
    topics = Topics(settings)
    table = RunTable(create_app(settings, "test"), name="content", changelog="test.c", partitions=1)
    app: Any = FakeApp()
    shared: Any = Shared(settings, topics, recommender=None)  # type: ignore[arg-type]

    def item(offset: int, title: str, available: bool = True) -> FakeEvent:
        value = msgspec.json.encode(Item(id="a", domain="films", title=title, available=available))
        keyed = encode(KeyedRecord(0, offset, offset, 0, value))
        return FakeEvent([record(keyed, keyed_key(0, b"a"), topic=topics.items_keyed.name, offset=offset)])

    process: Any = Content(Runner(app, "content"), table, shared).agent
    await process(FakeStream(item(0, "t")))
    before = rows.unpack(table.rows[0].get(b"a") or b"")
    vector = FakeEvent(
        [
            record(
                encode(Embedding("a", before.content, "e", "1", b"\0\0")), b"a", topic=topics.embeddings.name
            )
        ]
    )
    await process(FakeStream(item(1, "t", False), vector))
    after = rows.unpack(table.rows[0].get(b"a") or b"")
    assert (after.available, [each.vector for each in after.vectors]) == (False, [b"\0\0"])


async def test_a_failure_after_a_run_does_not_silently_stop_the_runs_behind_it() -> None:
    """The next run of the partition awaits the failed one: it would fail too, and all later runs with it."""
    app: Any = FakeApp()

    async def process(run: Run) -> None:
        raise ZeroDivisionError

    await Runner(app, "learn").drive(FakeStream(event_of(0, 0), event_of(0, 1)), process)
    assert [type(error) for error in app.crashes] == [ZeroDivisionError]


async def test_a_run_that_was_processed_or_dropped_releases_its_records() -> None:
    """Faust keeps a message until its offset is committed, and each message holds thousands of records."""
    app: Any = FakeApp()
    events = [event_of(0, 0), event_of(0, 1)]

    async def process(run: Run) -> None:
        if run.records[0].offset == 1:
            raise RunDroppedError

    await Runner(app, "learn").drive(FakeStream(*events), process)
    held: list[Any] = [each for event in events for each in (event.value, event.message.value)]
    assert held == [None] * 4


async def test_a_repeated_run_is_reported_once_however_many_parts_it_has(
    tmp_path: Path,
) -> None:
    created = create_app(Settings(_env_file=None, data_dir=tmp_path), "test")
    table = RunTable(created, name="rows", changelog="test.c", partitions=1)
    app: Any = FakeApp()
    runner = Runner(app, "learn")

    async def process(run: Run) -> None:
        for each in run.records:
            change = table.change(run.partition)
            change.marks.count_offset(each.topic, 0, each.partition, each.offset)
            await runner.write(run, Outgoing(1), table, change)
        run.done()

    def repeated() -> float:
        return REGISTRY.get_sample_value("afresh_runs_repeated_total", {"stage": "learn"}) or 0.0

    before = repeated()
    longer = FakeEvent([record(b"%d" % offset, offset=offset) for offset in range(3)])
    await runner.drive(FakeStream(event_of(0, 0), event_of(0, 1), longer, event_of(0, 3)), process)
    assert app.crashes == []
    assert repeated() == before + 1


async def test_rows_that_wait_for_kafka_are_noted_as_a_write_that_is_under_way(tmp_path: Path) -> None:
    created = create_app(Settings(_env_file=None, data_dir=tmp_path), "test")
    table = RunTable(created, name="rows", changelog="test.c", partitions=1)
    app: Any = FakeApp()
    now, said = [0.0], list[str]()
    app.writes = Writes(lambda: now[0])

    class Slow:
        async def send_whole(self, *_: Any) -> int:
            now[0] += PATIENCE_SECONDS + 1
            app.writes.taken()
            said.append(app.writes.refusal(answers=True))
            return 0

    app.claims.sender = lambda *_: Slow()
    run, _ = run_of(record(b"1"))
    await Runner(app, "learn").write(run, Outgoing(1), table, table.change(0))
    said.append(app.writes.refusal(answers=True))
    assert [bool(each) for each in said] == [True, False]
