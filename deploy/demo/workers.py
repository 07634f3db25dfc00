"""Runs the production processes for the demo: ``afresh worker``, and those beside it that the settings want."""

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
from afresh.streams.settings import INLINE, NO_ENCODER, Settings

READY_SECONDS = 180.0
"""Longest wait for a worker to be ready. A first start reads torch and the encoder from a cold disk."""

LOG_LINES = 30
CRASH = "Crashed reason="
"""Faust's words for the cause of a crash. They come long before the last line of its log."""
COMMAND = (sys.executable, "-m", "afresh.deploy.cli")


class WorkerDied(Exception):  # noqa: N818 - named for what happened
    """A worker ended by itself; the message holds the lines of its log that say why.

    It is no ``AfreshError``: the worker may have ended through a bug of ours. The command therefore shows the log
    as it is and exits with status 1.
    """


class WorkerProcess:
    """A running worker.

    Parameters
    ----------
    process
        The process that runs it.
    """

    def __init__(self, process: ServerProcess) -> None:
        self.page = Page(process.port)
        self._process = process

    @property
    def name(self) -> str:
        """Its name, such as ``afresh worker``."""
        return self._process.name

    def check(self) -> None:
        """Raise ``WorkerDied`` if the worker has ended."""
        if self._process.pid is None:
            raise WorkerDied(f"{self.name} ended by itself; from its log:\n{self._tail()}")

    def wait_until_ready(self) -> None:
        """Return once the worker reports itself ready.

        Raises
        ------
        WorkerDied
            If the worker ends instead.
        AfreshError
            If the worker is not ready within three minutes.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not self.page.ready():
            self.check()
            if time.monotonic() > deadline:
                raise AfreshError(
                    f"{self.name} was not ready within {READY_SECONDS:g} s; from its log:\n{self._tail()}"
                )
            time.sleep(0.1)

    def _tail(self) -> str:
        lines = self._process.log.read_text("utf-8", "replace").splitlines()
        crashes = [number for number, line in enumerate(lines) if CRASH in line]
        start = crashes[0] if crashes else max(0, len(lines) - LOG_LINES)
        return "\n".join(f"  {line}" for line in lines[start : start + LOG_LINES])


@contextmanager
def running_workers(settings: Settings, folder: Path) -> Iterator[list[WorkerProcess]]:
    """Run a worker, and an embed worker and a model worker if the settings want them; stop them all at the end.

    The worker comes first. All are ready when they are yielded.

    Parameters
    ----------
    settings
        Settings of the workers.
    folder
        Each worker gets its own folder in here, for its log.
    """
    ports = {"worker": settings.metrics_port}
    if settings.encoder != NO_ENCODER:
        ports["embed-worker"] = settings.embed_metrics_port
    if settings.model != INLINE:
        ports["model-worker"] = settings.model_metrics_port
    with ExitStack() as stack:
        stack.enter_context(environment(variables(settings)))
        workers = []
        for name, port in ports.items():
            own = writable(folder / name)
            process = ServerProcess(f"afresh {name}", [*COMMAND, name], port=port, folder=own)
            stack.enter_context(running(process))
            workers.append(WorkerProcess(process))
        for worker in workers:
            worker.wait_until_ready()
        yield workers


def variables(settings: Settings) -> dict[str, str]:
    """Return the environment variables that pass settings to another process: those that were set explicitly.

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
    """Set environment variables, for the processes that start within the block."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
