"""Runs a server as a child process: starts, kills and restarts it, and always stops it at the end."""

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
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType

from afresh.state.errors import AfreshError

HOST = "127.0.0.1"
START_SECONDS = 180.0
STOP_SECONDS = 15.0
SOFT_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1

# These ports lie below the range for outgoing connections. In that range, the system could give a server's port to
# a client that retries while the server is down; the client would then connect to itself and keep the port.
PORTS = range(20_000, 32_000)

RESERVED_PORTS = 32
"""Number of ports that this process found last and that no other process is given."""

_reserved: deque[socket.socket] = deque()

_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


class ServerProcess:
    """One server on one port of the loopback interface; its output goes to a log in its folder.

    Parameters
    ----------
    name
        Name of the server in messages.
    command
        Program and arguments.
    port
        Port that the server listens on, on ``HOST``.
    folder
        Working directory; it also holds the log.
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
        """Exit status of the server: negative after a signal, None while it runs or before it has started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the server, also again after ``kill`` or ``stop``, and return once it answers.

        Raises
        ------
        AfreshError
            If the port is taken, if the program cannot be run, or if the server ends or does not answer in time.
        """
        if not is_free(self.port):
            raise AfreshError(f"{self.name} cannot start: port {self.port} is taken; stop what uses it")
        try:
            self._process = self._spawn()
        except OSError as error:
            raise AfreshError(f"{self.name} cannot be run: {error.strerror} ({error.filename})") from error
        self._wait(self._process)

    def stop(self) -> None:
        """End the server with SIGTERM, or with SIGKILL if that takes too long."""
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
                # Under the C locale, a JVM cannot open files in a folder with an accent in its name.
                env=os.environ | {"LC_ALL": "C.UTF-8"},
                # In the terminal's session, Ctrl-C would end the servers before the workers that use them.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def _wait(self, process: subprocess.Popen[bytes], seconds: float | None = None) -> None:
        seconds = START_SECONDS if seconds is None else seconds
        deadline = time.monotonic() + seconds
        while not _answers(self.port):
            if process.poll() is not None:
                raise AfreshError(
                    f"{self.name} ended during its start with status {process.returncode}: {self._tail()}"
                )
            if time.monotonic() > deadline:
                raise AfreshError(f"{self.name} did not answer within {seconds:g} s: {self._tail()}")
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
        """Return the last lines of the log, without the frames of stack traces."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("\t")]
        return " | ".join(lines[-3:]) or f"it wrote nothing into {self.log}"


@contextmanager
def running(process: ServerProcess) -> Iterator[None]:
    """Start a server, and stop it at the end: also after an error, Ctrl-C or SIGTERM."""
    with _soft_signals_raise():
        try:
            process.start()
            yield
        finally:
            process.stop()


@contextmanager
def _soft_signals_raise() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into ``SystemExit``: by default these signals end Python before any ``finally`` runs."""
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
    # A second signal must not interrupt the cleanup that the first one began.
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def _die_with_parent() -> None:
    """Let Linux kill this process when the thread that started it ends: so kill -9 of the parent leaves no server."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Find ports of the loopback interface that nobody listens on, and that no other process has just found."""
    # Not by the generator that libraries seed: two processes would try the same ports in the same order.
    tried = random.SystemRandom().sample(PORTS, len(PORTS))
    ports = list(islice((port for port in tried if is_free(port) and _reserve(port)), count))
    if len(ports) < count:
        raise AfreshError(f"no free port from {PORTS[0]} to {PORTS[-1]} on {HOST}; stop some servers")
    return ports


def _reserve(port: int) -> bool:
    """Take a name for a port that one process at a time can have; return False if another has it.

    Seconds may pass until a server listens on a port. The name lasts until this process ends, or has found
    ``RESERVED_PORTS`` others.
    """
    if sys.platform != "linux":
        return True
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0afresh-port-{port}")
    except OSError:
        name.close()
        return False
    _reserved.append(name)
    while len(_reserved) > RESERVED_PORTS:
        _reserved.popleft().close()
    return True


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
