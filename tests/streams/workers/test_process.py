from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from afresh.state.errors import AfreshError, StartAgainError
from afresh.state.store.rows import StoreError
from afresh.state.versions import RowVersionError
from afresh.streams.kafka.app import create_app
from afresh.streams.settings import Settings
from afresh.streams.workers import process as module
from afresh.streams.workers.process import execute


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, reason: BaseException | None, status: int) -> None:
    """Execute an app that ends with a given reason."""

    def ends() -> None:
        raise SystemExit(status)

    def worker(*_: object, **__: object) -> Any:
        return SimpleNamespace(execute_from_commandline=ends, crash_reason=reason)

    monkeypatch.setattr("faust.Worker", worker)
    monkeypatch.setattr(module, "collect_garbage_seldom", lambda: None)
    monkeypatch.setattr("afresh.streams.workers.pages.serve", lambda *_: SimpleNamespace(server_port=0))
    settings = Settings(_env_file=None, data_dir=folder)
    execute(create_app(settings, "test"), settings, 0, lambda: "")


@pytest.mark.parametrize("kind", [AfreshError, StoreError, RowVersionError, StartAgainError])
def test_a_problem_that_a_person_can_mend_ends_with_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match="mend it"):
        run(tmp_path, monkeypatch, kind("mend it"), 1)


@pytest.mark.parametrize(("reason", "status"), [(None, 0), (KeyError(7), 1)])
def test_every_other_end_keeps_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: BaseException | None, status: int
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, monkeypatch, reason, status)
    assert ended.value.code == status
