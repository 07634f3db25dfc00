"""The production processes, ``afresh worker`` and ``afresh embed-worker``, run by the demo."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import SecretStr

from afresh.deploy.demo.scrape import Page
from afresh.deploy.servers.process import ServerProcess, running
from afresh.deploy.servers.server import writable
from afresh.state.errors import AfreshError
from afresh.streams.settings import NO_ENCODER, Settings

READY_SECONDS = 180.0
"""A first start reads torch and the encoder from a cold disk."""

LOG_LINES = 30
CRASH = "Crashed reason="
"""How Faust names the cause of its end, long before its last words."""
COMMAND = (sys.executable, "-m", "afresh.deploy.cli")


class WorkerDied(Exception):  # noqa: N818 - named for what happened
    """A worker ended by itself; the message holds the part of its log that says why.

    A signal to the command, which shows the log as it stands and exits with status 1: it may be a fault of ours.
    """


class WorkerProcess:
    """One of the workers.

    Parameters
    ----------
    process
        Runs it.
    """

    def __init__(self, process: ServerProcess) -> None:
        self.page = Page(process.port)
        self._process = process

    def check(self) -> None:
        """Raise ``WorkerDied`` if it has ended."""
        if self._process.pid is None:
            raise WorkerDied(f"{self._process.name} ended by itself; from its log:\n{self._tail()}")

    def wait_until_ready(self) -> None:
        """Return once it says that it is at work.

        Raises
        ------
        WorkerDied
            If it ends instead.
        AfreshError
            If it is not ready within three minutes.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not self.page.ready():
            self.check()
            if time.monotonic() > deadline:
                name = self._process.name
                raise AfreshError(
                    f"{name} was not ready within {READY_SECONDS:g} s; from its log:\n{self._tail()}"
                )
            time.sleep(0.1)

    def _tail(self) -> str:
        lines = self._process.log.read_text("utf-8", "replace").splitlines()
        crashes = [number for number, line in enumerate(lines) if CRASH in line]
        start = crashes[0] if crashes else max(0, len(lines) - LOG_LINES)
        return "\n".join(f"  {line}" for line in lines[start : start + LOG_LINES])


@contextmanager
def running_workers(settings: Settings, folder: Path) -> Iterator[list[WorkerProcess]]:
    """Run a worker and, if there is an encoder, an embed worker; both are at work, and stopped at the end.

    Parameters
    ----------
    settings
        What they are configured with.
    folder
        Each gets a folder of its own in here, for its log.
    """
    ports = {"worker": settings.metrics_port, "embed-worker": settings.embed_metrics_port}
    if settings.encoder == NO_ENCODER:
        del ports["embed-worker"]
    with ExitStack() as stack:
        stack.enter_context(environment(variables(settings)))
        workers = []
        for name, port in ports.items():
            place = writable(folder / name)
            process = ServerProcess(f"afresh {name}", [*COMMAND, name], port=port, folder=place)
            stack.enter_context(running(process))
            workers.append(WorkerProcess(process))
        for worker in workers:
            worker.wait_until_ready()
        yield workers


def variables(settings: Settings) -> dict[str, str]:
    """Variables that give another process the settings that differ from the defaults.

    Examples
    --------
    >>> sorted(variables(Settings(_env_file=None, kafka="kafka:9092", idempotence=False)).items())
    [('AFRESH_IDEMPOTENCE', 'False'), ('AFRESH_KAFKA', 'kafka:9092')]
    >>> variables(Settings(_env_file=None, leave_out={"films": "bought"}))
    {'AFRESH_LEAVE_OUT': '{"films": "bought"}'}
    """
    values = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {f"AFRESH_{name.upper()}": _text(value) for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case dict():
            return json.dumps(value)
    return str(value)


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, for the processes started meanwhile."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
