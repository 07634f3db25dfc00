import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from state.marks import PARTITION_ROW_KEY
from state.tables import CHANGE_BYTES, RunTable
from streams import changelog
from streams.app import create_app
from streams.changelog import ChangelogWriter
from streams.runs import RunDroppedError
from streams.sender import Record
from streams.settings import Settings

PLACE = TP("test.rows.changelog", 0)


class FakeKafka:
    """One partition of a changelog, as sender and reader see it."""

    def __init__(self) -> None:
        self.log: list[Record] = []
        self.batches: list[int] = []
        self.then: list[list[Record]] = []

    async def send_whole(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        assert (topic, partition) == PLACE
        first = len(self.log)
        self.log += records
        self.batches.append(len(records))
        if self.then:
            self.log += self.then.pop(0)
        return first

    async def ends(self, partitions: Collection[TP]) -> dict[TP, int]:
        return dict.fromkeys(partitions, len(self.log))

    async def keys(self, partition: TP, start: int, end: int) -> set[bytes]:
        return {record.key or b"" for record in self.log[start:end]}


async def ours() -> None:
    pass


def new_table() -> RunTable:
    app = create_app(Settings(_env_file=None, data_dir=Path("/tmp/afresh-test")), "test")
    return RunTable(app, name="rows", changelog=PLACE.topic, partitions=1)


class Owner:
    """A worker that owns the partition."""

    def __init__(self) -> None:
        self.kafka = FakeKafka()
        self.table = new_table()
        fake: Any = self.kafka
        self.writer = ChangelogWriter(fake, fake)

    async def write(self, *rows: tuple[str, str | None]) -> None:
        change = self.table.change(0)
        for key, row in rows:
            if row is None:
                change.delete(key.encode())
            else:
                change.put(key.encode(), row.encode())
        await self.writer.write(self.table, 0, change, ours)

    async def put_right(self) -> None:
        await self.writer.put_right(self.table, 0, ours)

    def recovered(self) -> dict[bytes, bytes]:
        """Rows that the next owner would read from the changelog."""
        table = new_table()
        records = [
            SimpleNamespace(key=r.key, value=r.value, offset=n, timestamp=0)
            for n, r in enumerate(self.kafka.log)
        ]
        if records:
            event: Any = SimpleNamespace(message=SimpleNamespace(partition=0, value=records))
            table.apply_changelog_batch([event])
        return dict(table.rows[0].items())


def foreign(*rows: tuple[str, str | None]) -> list[Record]:
    return [
        *(Record(key.encode(), None if row is None else row.encode()) for key, row in rows),
        Record(PARTITION_ROW_KEY, b"marks of another worker"),
    ]


async def test_rows_that_a_worker_wrote_which_had_slept_are_put_right() -> None:
    owner = Owner()
    await owner.write(("ann", "1"), ("bob", "1"), ("eve", "1"))
    owner.kafka.log += foreign(("ann", "stale"), ("new", "stale"), ("eve", None))
    await owner.write(("bob", "2"))
    assert owner.recovered()[b"ann"] == b"stale"
    before = REGISTRY.get_sample_value("afresh_rows_put_right_total", {"topic": PLACE.topic}) or 0.0
    await owner.put_right()
    assert owner.recovered() == dict(owner.table.rows[0].items())
    assert owner.recovered()[b"ann"] == b"1"
    assert b"new" not in owner.recovered()
    written = REGISTRY.get_sample_value("afresh_rows_put_right_total", {"topic": PLACE.topic})
    # The batch written after the others' counts too: nobody can tell them apart but by reading.
    assert written == before + 5
    length = len(owner.kafka.log)
    await owner.put_right()
    assert len(owner.kafka.log) == length


async def test_a_changelog_that_nobody_else_wrote_to_is_left_alone() -> None:
    owner = Owner()
    await owner.put_right()
    await owner.write(("ann", "1"))
    await owner.put_right()
    assert len(owner.kafka.log) == 2


async def test_rows_that_come_while_others_are_put_right_are_found_at_the_next_look() -> None:
    owner = Owner()
    await owner.write(("ann", "1"), ("bob", "1"))
    owner.kafka.log += foreign(("ann", "stale"))
    owner.kafka.then = [foreign(("bob", "stale"))]
    await owner.put_right()
    await owner.put_right()
    assert owner.recovered() == dict(owner.table.rows[0].items())


async def test_a_worker_that_is_no_longer_the_owner_puts_nothing_right() -> None:
    owner = Owner()
    await owner.write(("ann", "1"))
    owner.kafka.log += foreign(("ann", "newer"))
    length = len(owner.kafka.log)

    async def moved() -> None:
        raise RunDroppedError

    with pytest.raises(RunDroppedError):
        await owner.writer.put_right(owner.table, 0, moved)
    assert len(owner.kafka.log) == length


async def test_many_rows_are_put_right_in_batches_that_kafka_takes() -> None:
    owner = Owner()
    long = "x" * (CHANGE_BYTES // 5)
    for key in "abcdef":
        await owner.write((key, long))
    owner.kafka.log += foreign(*((key, "stale") for key in "abcdef"))
    owner.kafka.batches.clear()
    await owner.put_right()
    assert len(owner.kafka.batches) > 1
    assert max(owner.kafka.batches) * len(long) < CHANGE_BYTES
    assert owner.recovered() == dict(owner.table.rows[0].items())


async def test_reading_what_others_wrote_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changelog, "READ_SECONDS", 0.01)
    reader = changelog.ChangelogReader(Settings(_env_file=None))

    class Silent:
        def assign(self, _: Any) -> None: ...

        def seek(self, *_: Any) -> None: ...

        async def position(self, _: Any) -> int:
            return 0

        async def getmany(self, *_: Any, **__: Any) -> dict[Any, Any]:
            await asyncio.sleep(0)
            return {}

    silent: Any = Silent()
    reader._consumer = silent
    with pytest.raises(TimeoutError):
        await reader.keys(PLACE, 0, 1)


keys = st.sampled_from(["a", "b", "c"])
rows = st.lists(st.tuples(keys, st.none() | st.sampled_from(["1", "2"])), min_size=1, max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["ours", "theirs", "look"]), rows), max_size=12))
@limits(deadline=None)
def test_whatever_others_write_and_when_the_next_owner_reads_our_rows(steps: list[tuple[str, Any]]) -> None:
    async def play() -> None:
        owner = Owner()
        for who, written in steps:
            if who == "ours":
                await owner.write(*written)
            elif who == "theirs":
                owner.kafka.log += foreign(*written)
            else:
                await owner.put_right()
        await owner.put_right()
        assert owner.recovered() == dict(owner.table.rows[0].items())

    asyncio.run(play())
