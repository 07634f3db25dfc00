from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from afresh.state.errors import AfreshError, StartAgainError
from afresh.state.store.rows import StoreError
from afresh.state.versions import RowVersionError
from afresh.streams.kafka.app import App, create_app
from afresh.streams.kafka.sender import FencedError
from afresh.streams.settings import Settings
from afresh.streams.workers import process as module
from afresh.streams.workers.process import execute


def run(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    reason: BaseException | None,
    status: int,
    told: bool = False,
    started: bool = True,
) -> None:
    """Execute an app that ends with a given reason."""

    def ends() -> None:
        ended = SystemExit(status)
        ended.__context__ = reason
        raise ended

    def worker(*_: object, **__: object) -> Any:
        return SimpleNamespace(
            execute_from_commandline=ends,
            crash_reason=reason if started else None,
            _signal_stop_time=7.0 if told else None,
        )

    monkeypatch.setattr("faust.Worker", worker)
    monkeypatch.setattr(module, "collect_garbage_seldom", lambda: None)
    monkeypatch.setattr("afresh.streams.workers.pages.serve", lambda *_: SimpleNamespace(server_port=0))
    settings = Settings(_env_file=None, data_dir=folder)
    execute(create_app(settings, "test"), settings, 0, lambda: "")


@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize("kind", [AfreshError, StoreError, RowVersionError, StartAgainError])
def test_a_problem_that_a_person_can_mend_ends_with_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception], started: bool
) -> None:
    with pytest.raises(kind, match="mend it"):
        run(tmp_path, monkeypatch, kind("mend it"), 1, started=started)


def test_a_crash_that_may_pass_by_itself_is_a_sentence_with_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AfreshError, match="start this one again") as ended:
        run(tmp_path, monkeypatch, FencedError("rows", 1), 1)
    assert ended.value.status == 75


@pytest.mark.parametrize(
    ("reason", "level"), [(StoreError("mend it"), "ERROR"), (StartAgainError("start again"), "WARNING")]
)
def test_only_an_end_that_a_person_must_mend_is_an_error_in_the_log(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    reason: AfreshError,
    level: str,
) -> None:
    with pytest.raises(type(reason)):
        run(tmp_path, monkeypatch, reason, 1)
    assert [each.levelname for each in caplog.records if each.getMessage() == str(reason)] == [level]


@pytest.mark.parametrize(
    ("reason", "status"),
    [(None, 0), (KafkaConnectionError(), 0), (FencedError("rows", 1), 0), (KeyError(7), 1)],
)
def test_a_process_that_was_told_to_stop_ends_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: BaseException | None, status: int
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, monkeypatch, reason, 0 if reason is None else 1, told=True)
    assert ended.value.code == status


def test_a_process_that_was_told_to_stop_still_says_what_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="mend it"):
        run(tmp_path, monkeypatch, StoreError("mend it"), 1, told=True)


@pytest.mark.parametrize(("reason", "status"), [(None, 0), (KeyError(7), 1)])
def test_every_other_end_keeps_its_status_and_only_an_orderly_one_is_called_a_stop(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    reason: BaseException | None,
    status: int,
) -> None:
    caplog.set_level("INFO")
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, monkeypatch, reason, status)
    assert ended.value.code == status
    assert any(message.startswith("Stopped;") for message in caplog.messages) == (not status)


async def test_a_process_says_when_it_becomes_ready_and_when_it_is_not_ready_any_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = ["tables not recovered", "", "", "Kafka takes no writes: 10 s", "Kafka takes no writes: 11 s", ""]

    async def rest(seconds: float) -> None:
        looks.pop(0)

    monkeypatch.setattr("asyncio.sleep", rest)
    caplog.set_level("INFO")
    with pytest.raises(IndexError):
        await module._tell_readiness(lambda: looks[0])
    assert caplog.messages == [
        "Not ready: tables not recovered",
        "Ready",
        "Not ready: Kafka takes no writes: 10 s",
        "Ready",
    ]


@pytest.mark.parametrize("finished", [True, False])
def test_the_last_line_of_an_orderly_stop_says_whether_everything_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, finished: bool
) -> None:
    monkeypatch.setattr(App, "has_committed", lambda _: finished)
    caplog.set_level("INFO")
    with pytest.raises(SystemExit):
        run(tmp_path, monkeypatch, None, 0, told=True)
    assert caplog.messages[0].startswith("afresh ")
    assert ("everything taken in is committed" in caplog.messages[-1]) == finished
