import asyncio
import errno
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import GroupAuthorizationFailedError
from faust.types import TP

from afresh.state.errors import AfreshError, StartAgainError
from afresh.state.store.changes import Change
from afresh.state.store.rows import StoreError
from afresh.streams.kafka import app as module
from afresh.streams.kafka.app import App, create_app, source
from afresh.streams.kafka.ending import status_of
from afresh.streams.kafka.sender import FencedError
from afresh.streams.kafka.tables import RunTable
from afresh.streams.kafka.transport import RunConsumer, RunTransport
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics


def settings_in(folder: Path) -> Settings:
    return Settings(
        _env_file=None,
        kafka="a:9092,b:9093",
        data_dir=folder,
        session_timeout_seconds=12.0,
        fetch_max_wait_seconds=0.5,
    )


async def test_an_app_moves_runs_and_knows_all_brokers(tmp_path: Path) -> None:
    app = create_app(settings_in(tmp_path), "test")
    assert isinstance(app.transport, RunTransport)
    assert isinstance(app.consumer, RunConsumer)
    assert app.transport.fetch_max_wait_seconds == 0.5
    assert [str(url) for url in app.conf.broker] == ["kafka://a:9092", "kafka://b:9093"]


def test_heartbeats_and_requests_fit_the_session_timeout(tmp_path: Path) -> None:
    conf = create_app(settings_in(tmp_path), "test").conf
    assert conf.broker_session_timeout == 12.0
    assert conf.broker_heartbeat_interval < conf.broker_session_timeout / 3
    assert conf.broker_request_timeout > conf.broker_session_timeout


def test_the_data_folder_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "with a space" / "é"
    create_app(settings_in(folder), "test")
    assert folder.is_dir()


def test_the_error_names_a_data_folder_that_cannot_be_created_and_its_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"
    with pytest.raises(AfreshError, match=rf"{folder} cannot be created \(.+\); set AFRESH_DATA_DIR"):
        create_app(settings_in(folder), "test")


def test_a_source_delivers_raw_bytes_from_all_its_topics(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    topics = Topics(settings)
    channel: Any = source(create_app(settings, "test"), topics.items, topics.embeddings)
    assert list(channel.topics) == [topics.items.name, topics.embeddings.name]
    assert (channel.key_type, channel.value_type) == (bytes, bytes)
    assert (channel.key_serializer, channel.value_serializer) == ("raw", "raw")


async def test_tasks_do_not_wait_for_a_recovery_that_has_begun(tmp_path: Path) -> None:
    app = create_app(settings_in(tmp_path), "test")
    started, begun = asyncio.Event(), SimpleNamespace(started=True, completed=asyncio.Event())
    cast(Any, app.tables)._recovery = begun

    async def task() -> None:
        started.set()

    app.task(task)
    async with asyncio.timeout(5.0):
        await app.on_started()
        await started.wait()


async def test_asking_for_assigned_partitions_makes_no_second_consumer(tmp_path: Path) -> None:
    app = create_app(settings_in(tmp_path), "test")
    assert app.assigned() == set()
    assert app._consumer is None
    consumer = app.consumer
    assert app.assigned() == set()
    assert app.consumer is consumer


async def test_one_more_producer_has_the_settings_of_fausts_own(tmp_path: Path) -> None:
    app = create_app(settings_in(tmp_path), "test")
    assert app._one_more_producer("test-1")._txn_manager.transactional_id == "test-1"
    ordinary = app._one_more_producer(None)
    assert ordinary._txn_manager is None
    assert ordinary.client._bootstrap_servers == ["a:9092", "b:9093"]


async def test_claims_are_kept_while_the_membership_is_fresh_and_nothing_is_rebalanced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings_in(tmp_path), "test")
    asked = list[bool]()

    async def keep(ours: Callable[[], bool]) -> None:
        for app.rebalancing, fresh in ((False, False), (True, True), (False, True)):
            monkeypatch.setattr(RunConsumer, "membership_is_fresh", lambda _, fresh=fresh: fresh)
            asked.append(ours())

    monkeypatch.setattr(app.claims, "keep", keep)
    await app.keep_claims()
    assert asked == [False, False, True]


async def test_what_a_task_raises_ends_the_app_with_the_first_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings_in(tmp_path), "test")
    lost = FencedError("rows", 1)

    async def task() -> None:
        raise ExceptionGroup("work", [ExceptionGroup("part", [lost]), ValueError("later")])

    monkeypatch.setattr(app, "_end_soon", lambda: None)
    app.task(task)
    await app.on_started_init_extra_tasks()
    await asyncio.gather(*app._futures)
    assert app.crash_reason is lost


async def test_a_stopping_app_fetches_no_more_and_waits_for_running_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings_in(tmp_path), "test")
    stopped: list[str] = []
    consumer = SimpleNamespace(stop_flow=lambda: stopped.append("flow"))
    monkeypatch.setattr(App, "consumer", consumer)
    monkeypatch.setattr(app, "assigned", lambda: {TP("test.events", 0)})
    looks = iter([True, True, False, False])
    app.unfinished = lambda: next(looks)
    await app._finish()
    assert stopped == ["flow"]
    assert not app.flow_control.is_active()
    assert list(looks) == []


async def test_runs_that_do_not_finish_delay_the_stop_only_for_a_limited_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(settings_in(tmp_path), "test")
    monkeypatch.setattr(module, "FINISH_SECONDS", 0.0)
    app.unfinished = lambda: True
    await app._finish()
    assert "Runs under way did not finish within 0 s" in caplog.text


@pytest.mark.parametrize(
    ("reason", "told", "status", "last"),
    [
        (None, True, 0, ""),
        (None, False, 1, ""),
        (KeyError(7), True, 1, ""),
        (StoreError("free some space"), False, 2, "afresh: free some space"),
        (StoreError("free some space"), True, 2, "afresh: free some space"),
        (StartAgainError("start it again"), False, 75, "afresh: start it again"),
    ],
)
async def test_a_stop_that_takes_too_long_ends_with_the_right_status_and_message(
    tmp_path: Path,
    reason: BaseException | None,
    told: bool,
    status: int,
    last: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = create_app(settings_in(tmp_path), "test")
    app.crash_reason = reason
    app.told_to_stop = lambda: told
    ended: list[int] = []
    monkeypatch.setattr(module, "os", SimpleNamespace(_exit=ended.append))
    monkeypatch.setattr("logging.shutdown", lambda: None)
    app._end()
    assert ended == [status]
    assert ("free some space" in caplog.messages) == (status == 2)
    assert any(each.levelname == "ERROR" for each in caplog.records) == (status == 2)
    assert capsys.readouterr().err.rpartition("\n")[0] == last


async def test_a_stop_that_takes_too_long_ends_although_nothing_can_be_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    app = create_app(settings_in(tmp_path), "test")
    app.crash_reason = StoreError("free some space")
    ended: list[int] = []
    monkeypatch.setattr(module, "os", SimpleNamespace(_exit=ended.append))
    monkeypatch.setattr("logging.shutdown", lambda: None)
    monkeypatch.setattr("sys.stderr", Full())
    app._end()
    assert ended == [2]


async def test_rows_are_written_before_the_sources_are_read_unless_another_worker_owns_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings_in(tmp_path), "test")
    table = RunTable(app, name="rows", changelog="test.rows.changelog", partitions=1)
    sent: list[Any] = []

    class Fake:
        fenced = False

        async def send_whole(self, topic: str, partition: int, records: Any) -> int:
            if self.fenced:
                raise FencedError(topic, partition)
            sent.append((topic, partition, [record.key for record in records]))
            return 0

    fake: Any = Fake()
    monkeypatch.setattr(app.claims, "sender", lambda *_: fake)
    change: Change = table.change(0)
    change.put_row(b"a", b"1")
    await app.write_rows(table, 0, change)
    assert sent == [("test.rows.changelog", 0, [b"a", b""])]
    assert table.rows[0].get(b"a") == b"1"
    fake.fenced = True
    change = table.change(0)
    change.put_row(b"a", b"2")
    await app.write_rows(table, 0, change)
    assert table.rows[0].get(b"a") == b"1"


async def test_a_right_that_is_missing_ends_the_process_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings_in(tmp_path), "test")
    monkeypatch.setattr(app, "_end_soon", lambda: None)
    await app.crash(GroupAuthorizationFailedError("test"))
    assert status_of(app.crash_reason, told=False) == 2
    assert str(app.crash_reason).startswith(
        "User:ANONYMOUS may not Read group test: grant it with kafka-acls.sh"
    )
