"""Runs a Prometheus that scrapes processes of this machine, with the rules of the alerts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from afresh.deploy.monitoring.answers import prometheus
from afresh.deploy.monitoring.rules import RUNBOOKS, rules
from afresh.deploy.monitoring.scraping import scraping
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.deploy.servers.process import HOST, ServerProcess, free_ports, running
from afresh.deploy.servers.server import writable
from afresh.state.errors import AfreshError

SCRAPE_SECONDS = 1

START_SECONDS = 60.0
"""Longest time between the first answer and the first right one: it reads what it has stored."""


def require_prometheus() -> str:
    """Return the path of the program.

    Raises
    ------
    AfreshError
        If it is not on the PATH.
    """
    found = shutil.which("prometheus")
    if found is None:
        raise AfreshError("no Prometheus to run; install it (Debian: apt-get install prometheus)")
    return found


@contextmanager
def local_prometheus(folder: Path, ports: Mapping[str, int], scale: float = 1.0) -> Iterator[str]:
    """Run a Prometheus on a free port of the loopback interface, and stop it at the end.

    Parameters
    ----------
    folder
        Folder for its settings, its data and its log.
    ports
        Ports of the pages that it scrapes every second, by the name of the job.
    scale
        Factor of the durations of all alerts.

    Yields
    ------
    Its address.

    Raises
    ------
    AfreshError
        If there is none on this machine, or it does not start.
    """
    program, own = require_prometheus(), writable(folder)
    (port,) = free_ports(1)
    targets = {job: f"{HOST}:{page}" for job, page in ports.items()}
    (own / "rules.yml").write_text(rules(_runbooks(), scale), "utf-8")
    (own / "prometheus.yml").write_text(scraping(targets, SCRAPE_SECONDS), "utf-8")
    command = [
        program,
        f"--config.file={own / 'prometheus.yml'}",
        f"--storage.tsdb.path={own / 'data'}",
        f"--web.listen-address={HOST}:{port}",
        "--log.level=warn",
    ]
    process = ServerProcess("Prometheus", command, port=port, folder=own)
    with running(process):
        _wait_until_ready(process)
        yield f"http://{HOST}:{port}"


def _runbooks() -> str:
    """Return the address of the runbooks: on this machine, if the project is here."""
    own = REPOSITORY / "deploy" / "runbooks.md"
    return own.as_uri() if own.exists() else RUNBOOKS


def _wait_until_ready(process: ServerProcess) -> None:
    """Return once it answers questions; until then, it answers that it is not available."""
    deadline = time.monotonic() + START_SECONDS
    ask = prometheus(f"http://{HOST}:{process.port}")
    while True:
        with suppress(AfreshError):
            ask("query", {"query": "1"})
            return
        if process.pid is None or time.monotonic() > deadline:
            raise AfreshError(f"Prometheus does not start; its log is {process.log}")
        time.sleep(0.05)
