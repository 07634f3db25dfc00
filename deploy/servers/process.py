"""A server as a child process of ours: started, killed, started again, and stopped whatever happens."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType

from afresh.state.errors import AfreshError

HOST = "127.0.0.1"
START_SECONDS = 90.0
STOP_SECONDS = 15.0
SOFT_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1

# Below the range of outgoing connections: there a client that retries while the server is down can be given
# the server's own port, connect to itself and hold it for good.
PORTS = range(20_000, 32_000)

_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


class ServerProcess:
    """One server on one port of the loopback interface, its output in a log in its folder.

    Parameters
    ----------
    name
        What people call the server; used in messages.
    command
        Program and arguments.
    port
        Where the server listens, on ``HOST``.
    folder
        Working directory; also holds the log.
    """

    def __init__(self, name: str, command: Sequence[str], *, port: int, folder: Path) -> None:
        self.name = name
        self.port = port
        self.log = folder / "server.log"
        self._command = list(command)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while the server runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def status(self) -> int | None:
        """Exit status once the server has ended: negative for a signal, None before."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the server, after a ``kill`` or ``stop`` again, and return once it answers.

        Raises
        ------
        AfreshError
            If the port is taken, the program cannot be run, or the server ends or stays silent.
        """
        if not is_free(self.port):
            raise AfreshError(f"{self.name} cannot start: port {self.port} is taken; stop what uses it")
        try:
            self._process = self._spawn()
        except OSError as error:
            raise AfreshError(f"{self.name} cannot be run: {error.strerror} ({error.filename})") from error
        self._wait(self._process)

    def stop(self) -> None:
        """End the server in order, or by force if it takes too long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        self._end(signal.SIGKILL)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A JVM under the C locale cannot open files in a folder with an accent in its name.
                env=os.environ | {"LC_ALL": "C.UTF-8"},
                # In the terminal's own session Ctrl-C would end the servers before the workers that use them.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.port):
            if process.poll() is not None:
                raise AfreshError(
                    f"{self.name} ended at its start with status {process.returncode}: {self._tail()}"
                )
            if time.monotonic() > deadline:
                raise AfreshError(f"{self.name} did not answer within {START_SECONDS:g} s: {self._tail()}")
            time.sleep(0.02)

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        try:
            process.send_signal(how)
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()

    def _tail(self) -> str:
        """Last lines of the log, without the frames of stack traces."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("\t")]
        return " | ".join(lines[-3:]) or f"it wrote nothing into {self.log}"


@contextmanager
def running(process: ServerProcess) -> Iterator[None]:
    """Start a server, and stop it at the end, at an error, at Ctrl-C and at SIGTERM."""
    with _soft_signals_raise():
        try:
            process.start()
            yield
        finally:
            process.stop()


@contextmanager
def _soft_signals_raise() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into ``SystemExit``: by default they end Python before any ``finally`` runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in SOFT_SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, _frame: FrameType | None) -> None:
    # A second signal must not interrupt the stopping that the first began.
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def _die_with_parent() -> None:
    """Have Linux kill this process when the thread that started it ends, so that kill -9 leaves no server."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports on the loopback interface that nobody listens on."""
    free = (port for port in random.sample(PORTS, len(PORTS)) if is_free(port))
    ports = list(islice(free, count))
    if len(ports) < count:
        raise AfreshError(f"no free port from {PORTS[0]} to {PORTS[-1]} on {HOST}; stop some servers")
    return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0
