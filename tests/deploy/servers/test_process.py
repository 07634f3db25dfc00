import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from afresh.deploy.servers import process as module
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.deploy.servers.process import HOST, ServerProcess, free_ports, is_free, running
from afresh.state.errors import AfreshError

pytestmark = pytest.mark.servers

LISTEN = "import signal, socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))"
SERVE = f"{LISTEN}; signal.pause()"
STUBBORN = f"{LISTEN}; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()"
DYING = "import sys; print('first'); sys.exit('the disk is full')"

PARENT = """
import sys, time
from pathlib import Path
from afresh.deploy.servers.process import ServerProcess, running
port, code, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
with running(ServerProcess("a server", [sys.executable, "-c", code, str(port)], port=port, folder=folder)):
    print("up", flush=True)
    time.sleep(60)
"""


def server(folder: Path, code: str = SERVE) -> ServerProcess:
    (port,) = free_ports(1)
    return ServerProcess("a server", [sys.executable, "-c", code, str(port)], port=port, folder=folder)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def is_freed(port: int) -> bool:
    deadline = time.monotonic() + 10
    while not is_free(port) and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_free(port)


def test_a_server_answers_while_it_runs_and_is_gone_afterwards(tmp_path: Path) -> None:
    process = server(tmp_path)
    with running(process):
        assert answers(process.port)
        inside = process.pid
    assert inside is not None
    assert process.pid is None
    assert not answers(process.port)


def test_an_error_stops_the_server(tmp_path: Path) -> None:
    process = server(tmp_path)
    with pytest.raises(ZeroDivisionError), running(process):
        _ = 1 / 0
    assert process.pid is None


def test_a_killed_server_starts_again_on_its_port(tmp_path: Path) -> None:
    process = server(tmp_path)
    with running(process):
        before = process.pid
        process.kill()
        assert not answers(process.port)
        process.start()
        assert answers(process.port)
        assert process.pid != before


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    process = server(tmp_path, STUBBORN)
    with running(process):
        pass
    assert process.pid is None


def test_the_error_names_a_taken_port(tmp_path: Path) -> None:
    process = server(tmp_path)
    with (
        socket.create_server((HOST, process.port)),
        pytest.raises(AfreshError, match=f"port {process.port} is taken"),
        running(process),
    ):
        pass


def test_the_error_names_a_missing_program(tmp_path: Path) -> None:
    process = ServerProcess("a server", ["no-such-program"], port=free_ports(1)[0], folder=tmp_path)
    with pytest.raises(AfreshError, match=r"a server cannot be run: .*no-such-program"), running(process):
        pass


def test_the_error_shows_the_end_of_the_log_of_a_server_that_dies_at_its_start(tmp_path: Path) -> None:
    with pytest.raises(AfreshError, match=r"status 1: .*the disk is full"), running(server(tmp_path, DYING)):
        pass


def test_a_silent_server_is_stopped_after_the_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.2)
    process = server(tmp_path, "import signal; signal.pause()")
    with pytest.raises(AfreshError, match=r"did not answer within 0\.2 s"), running(process):
        pass
    assert process.pid is None


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(tmp_path: Path) -> None:
    process = server(tmp_path)
    with running(process):
        assert process.pid is not None
        assert os.getsid(process.pid) == process.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_a_signal_that_ends_us_ends_the_server(tmp_path: Path, number: signal.Signals) -> None:
    if number == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux tells a process that its parent is gone")
    (port,) = free_ports(1)
    command = [sys.executable, "-c", PARENT, str(port), SERVE, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        parent.send_signal(number)
        assert parent.wait(10) != 0
    assert is_freed(port)


def test_a_server_can_be_run_from_another_thread(tmp_path: Path) -> None:
    seen: list[bool] = []

    def use() -> None:
        process = server(tmp_path)
        with running(process):
            seen.append(answers(process.port))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [True]


@pytest.fixture
def sigterm_handler() -> Iterator[None]:
    """Restore the handler of SIGTERM after the test."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_the_default_handler_of_a_signal_is_restored(tmp_path: Path, sigterm_handler: None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with running(server(tmp_path)):
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_callers_own_handler_stays(tmp_path: Path, sigterm_handler: None) -> None:
    def handler(number: int, frame: object) -> None: ...

    signal.signal(signal.SIGTERM, handler)
    with running(server(tmp_path)):
        assert signal.getsignal(signal.SIGTERM) is handler


def test_free_ports_are_free_and_differ() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(is_free(port) for port in ports)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that end with their process")
def test_a_port_that_one_process_has_found_is_not_given_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setattr(module, "PORTS", range(port, port + 1))
    with pytest.raises(AfreshError, match="no free port"):
        free_ports(1)
    code = f"from afresh.deploy.servers import process as p; p.PORTS = range({port}, {port} + 1); p.free_ports(1)"
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "no free port" in found.stderr
    assert is_free(port)


def test_only_the_newest_ports_stay_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESERVED_PORTS", 2)
    free_ports(5)
    assert len(module._reserved) <= 2


def test_the_status_of_an_ended_server_is_known(tmp_path: Path) -> None:
    process = server(tmp_path)
    assert process.status is None
    with running(process):
        assert process.status is None
        process.kill()
        assert process.status == -signal.SIGKILL
