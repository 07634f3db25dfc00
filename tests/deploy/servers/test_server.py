from pathlib import Path
from typing import get_args

import pytest

from afresh.deploy.servers import Server
from afresh.deploy.servers.server import Kind, writable
from afresh.state.errors import AfreshError

GIVEN = Server("redis://:secret@10.0.0.7:6379/0", "given", "Redis at 10.0.0.7")


@pytest.mark.parametrize("act", [Server.kill, Server.stop, Server.start])
def test_a_server_that_was_not_started_here_is_left_alone(act: object) -> None:
    assert callable(act)
    with pytest.raises(AfreshError, match=r"Redis at 10\.0\.0\.7 was not started here"):
        act(GIVEN)


def test_an_address_may_hold_a_password_and_is_not_shown() -> None:
    assert "secret" not in repr(GIVEN)


def test_only_the_embedded_broker_is_embedded() -> None:
    assert [kind for kind in get_args(Kind) if Server("", kind, "").embedded] == ["embedded"]


def test_writable_makes_the_folder_and_returns_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert writable(Path("some/where")) == tmp_path / "some" / "where"
    assert (tmp_path / "some" / "where").is_dir()


def test_a_folder_that_cannot_be_made_gives_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AfreshError, match=r"cannot write into .*file/folder \(Not a directory\)"):
        writable(tmp_path / "file" / "folder")
