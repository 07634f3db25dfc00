import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka.errors
import pytest
from aiokafka.errors import KafkaConnectionError
from faust.tables.recovery import Recovery
from faust.types import TP
from prometheus_client import REGISTRY

from afresh.state.errors import AfreshError
from afresh.state.store.rows import MemoryPartitions, Position, StoreError
from afresh.streams.kafka import recovery
from afresh.streams.kafka.app import App, create_app, rows_of
from afresh.streams.kafka.recovery import RunRecovery, RunTables
from afresh.streams.kafka.rights import NotAllowedError
from afresh.streams.kafka.tables import RunTable
from afresh.streams.settings import Settings

CHANGELOG = "test.rows.changelog"
PLACE = TP(CHANGELOG, 1)


@pytest.fixture
def app(tmp_path: Path) -> App:
    return create_app(Settings(_env_file=None, data_dir=tmp_path), "test")


@pytest.fixture
def table(app: App) -> RunTable:
    made = RunTable(app, name="rows", changelog=CHANGELOG, partitions=2)
    app.tables.add(made)
    return made


class FakeConsumer:
    """A consumer that knows the first and the end offset of every changelog partition."""

    def __init__(self, start: int, end: int) -> None:
        self._start, self._end = start, end

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, self._start)

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, self._end)


def recovery_of(app: App) -> RunRecovery:
    assert isinstance(app.tables, RunTables)
    return app.tables.recovery


async def begun_after(app: App, table: RunTable, consumer: FakeConsumer) -> int:
    """Return the offset behind which recovery begins to read."""
    recovery, offsets = recovery_of(app), Counter[TP]()
    recovery._add(table, PLACE, offsets)
    await recovery._build_offsets(consumer, {PLACE}, offsets, "active")
    return offsets[PLACE]


@pytest.mark.parametrize(("start", "end", "offset"), [(0, 100, 41), (42, 100, 41), (0, 42, 41)])
async def test_recovery_goes_on_where_the_rows_end(
    app: App, table: RunTable, start: int, end: int, offset: int
) -> None:
    table.rows[1].write([(b"a", b"1")], Position(offset, 0))
    assert await begun_after(app, table, FakeConsumer(start, end)) == 41
    assert table.rows[1].get(b"a") == b"1"


@pytest.mark.parametrize(("start", "end", "after"), [(0, 41, -1), (43, 100, 42), (0, 0, -1)])
async def test_rows_with_a_position_outside_the_changelog_are_read_anew(
    app: App, table: RunTable, start: int, end: int, after: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The changelog was created anew, or lost its beginning. Faust would crash, or leave a hole."""
    table.rows[1].write([(b"a", b"1")], Position(41, 0))
    assert await begun_after(app, table, FakeConsumer(start, end)) == after
    assert table.rows[1].get(b"a") is None
    assert "they are read anew" in caplog.text


async def test_rows_without_a_position_are_read_from_the_start_whatever_was_read_before(
    app: App, table: RunTable
) -> None:
    recovery, offsets = recovery_of(app), Counter({PLACE: 41})
    recovery._add(table, PLACE, offsets)
    await recovery._build_offsets(FakeConsumer(5, 100), {PLACE}, offsets, "active")
    assert offsets[PLACE] == 4


async def test_starts_are_found_once_rows_are_recovered_and_before_the_first_seek(
    app: App, table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    class Fake:
        def start_at(self, starts: Any) -> None:
            steps.append(f"start at {starts}")

        async def starts(self, _consumer: Any, ours: Any) -> dict[TP, int]:
            return dict.fromkeys(ours, 3)

    async def seek(*_: Any, **__: Any) -> None:
        steps.append("seek")

    monkeypatch.setattr(type(app), "consumer", Fake(), raising=False)
    monkeypatch.setattr(app, "positions", Fake())
    monkeypatch.setattr(app.assignor, "assigned_actives", lambda: {PLACE})
    assert table.name in app.tables
    for name in ("on_recovery_completed", "_resume_streams"):
        steps.clear()
        monkeypatch.setattr(Recovery, name, seek)
        await getattr(recovery_of(app), name)(1)
        assert steps == [f"start at { {PLACE: 3} }", "seek"]


async def test_a_process_without_tables_finds_starts_for_what_the_group_has_assigned(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust's assignor knows only partitions of apps with tables."""
    asked: list[set[TP]] = []

    class Fake:
        async def starts(self, _: Any, ours: Any) -> dict[TP, int]:
            asked.append(set(ours))
            return {}

        def start_at(self, _: Any) -> None:
            pass

    async def resume(*_: Any, **__: Any) -> None:
        pass

    monkeypatch.setattr(type(app), "consumer", Fake(), raising=False)
    monkeypatch.setattr(app, "positions", Fake())
    monkeypatch.setattr(app, "assigned", lambda: {PLACE})
    monkeypatch.setattr(Recovery, "_resume_streams", resume)
    await recovery_of(app)._resume_streams(1)
    assert asked == [{PLACE}]


async def test_a_source_that_must_not_go_on_ends_the_process_and_a_silent_kafka_is_asked_again(
    app: App, table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert table.name in app.tables
    reasons: list[BaseException] = []

    class Fake:
        answers: Sequence[Exception] = (KafkaConnectionError(), OSError(), AfreshError("rows were lost"))

        async def starts(self, *_: Any) -> Any:
            (answer, *self.answers) = self.answers
            raise answer

        def start_at(self, _: Any) -> None:
            raise AssertionError

    async def crash(reason: BaseException) -> None:
        reasons.append(reason)

    monkeypatch.setattr(app, "crash", crash)
    monkeypatch.setattr(app, "positions", Fake())
    monkeypatch.setattr(type(app), "consumer", Fake(), raising=False)
    monkeypatch.setattr(recovery, "ASK_SECONDS", 0.0)
    monkeypatch.setattr(app.assignor, "assigned_actives", lambda: {PLACE})
    with pytest.raises(AfreshError, match="rows were lost"):
        await recovery_of(app).on_recovery_completed(1)
    assert len(reasons) == 1


async def test_rows_that_cannot_be_written_end_the_worker_instead_of_leaving_a_hole(
    app: App, table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons: list[BaseException] = []

    async def crash(reason: BaseException) -> None:
        reasons.append(reason)

    monkeypatch.setattr(app, "crash", crash)
    full = StoreError("the disk is full")

    def write(*_: object) -> None:
        raise full

    monkeypatch.setattr(table.rows[1], "write", write)
    record = SimpleNamespace(key=b"a", value=b"1", offset=0, timestamp=0)
    event: Any = SimpleNamespace(message=SimpleNamespace(partition=1, value=[record]))
    with pytest.raises(StoreError):
        table.apply_changelog_batch([event])
    assert table._endings, "the task could be collected before it has run"
    await asyncio.gather(*table._endings)
    assert reasons == [full]
    assert not table._endings


async def test_after_recovery_the_positions_of_active_partitions_are_confirmed(table: RunTable) -> None:
    for partition in (0, 1):
        table.rows[partition].write([(b"a", b"1")], Position(41, 7))
    await table.on_recovery_completed({PLACE}, {TP(CHANGELOG, 0)})
    positions = [table.rows[partition].position for partition in (0, 1)]
    assert positions[0] == Position(41, 7)
    assert positions[1] is not None
    assert positions[1].offset == 41
    assert positions[1].time > 7


async def test_a_recovery_is_timed_from_its_rebalance(
    app: App, table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object, **__: object) -> None:
        pass

    clock = iter([100.0, 107.5])
    monkeypatch.setattr(Recovery, "on_rebalance", nothing)
    monkeypatch.setattr(Recovery, "on_recovery_completed", nothing)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    recovery, table.apply_seconds = recovery_of(app), 3.0
    await recovery.on_rebalance(set(), set(), set(), 1)
    table.apply_seconds += 0.5
    await recovery.on_recovery_completed(1)
    monkeypatch.undo()
    seconds = [
        REGISTRY.get_sample_value("afresh_recovery_seconds", {"part": part}) for part in ("whole", "apply")
    ]
    assert seconds == [7.5, 0.5]


def test_rows_are_kept_where_the_settings_say(tmp_path: Path) -> None:
    memory = Settings(_env_file=None, data_dir=tmp_path)
    assert isinstance(rows_of(memory, ["users"])("users"), MemoryPartitions)
    disk = memory.model_copy(update={"state": "rocksdb", "namespace": "shop"})
    users = rows_of(disk, ["users"])("users")
    users[0].write([(b"a", b"1")], Position(0, 0))
    assert (tmp_path / "shop" / "rows" / "CURRENT").exists()
    with pytest.raises(AfreshError, match=r"Another process uses .*; give every worker an AFRESH_DATA_DIR"):
        rows_of(disk, ["users"])


async def test_a_right_that_is_missing_ends_the_search_for_starts(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka is asked again while it is silent, and would be asked for ever."""
    ends: list[BaseException] = []

    class Fake:
        async def starts(self, *_: Any) -> dict[TP, int]:
            raise aiokafka.errors.TopicAuthorizationFailedError("test.events")

    async def crash(reason: BaseException) -> None:
        ends.append(reason)

    monkeypatch.setattr(type(app), "consumer", Fake(), raising=False)
    monkeypatch.setattr(app, "positions", Fake())
    monkeypatch.setattr(app, "assigned", lambda: {PLACE})
    monkeypatch.setattr(app, "crash", crash)
    with pytest.raises(NotAllowedError):
        await recovery_of(app)._resume_streams(1)
    assert [type(end) for end in ends] == [NotAllowedError]
