"""Backpressure: while Redis or Kafka is slow, memory is bounded, the metrics show the lag, and nothing is dropped."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import faust

from afresh.deploy.demo.scrape import Page
from afresh.deploy.ledger import audit
from afresh.deploy.servers import Server
from afresh.deploy.servers.kafka import Installation
from afresh.deploy.servers.process import ServerProcess
from afresh.streams.settings import Settings
from tests.benchmarks.scale import stopped
from tests.conftest import settings_for
from tests.kafka.deployment import Deployment, accepted, deployment, wait

EVENTS, USERS = 10_000, 1_000

ROOM_MIB = 48
"""Memory that a worker may take in addition while a server is slow; 24 MiB were measured."""

STACKS_MIB = 128
"""Extra room in the limit: it counts 8 MiB of stack for each new thread, although a thread hardly uses it."""

WAIT_SECONDS = 180.0
"""Longest wait, on a machine that is busy with other work."""

BURST = 250

BYTES_A_SECOND = 50_000
"""Bytes a second that a slow Kafka lets a worker send, and lets it read."""

SESSION_SECONDS = 6.0
"""The shortest session that a broker allows by default."""


def lag(page: Page) -> int:
    """Count the records that a worker has not finished."""
    return page.read().total("afresh_lag_records")


def works(page: Page, before: int) -> bool:
    """Whether a worker has taken in more events than before."""
    return accepted(page) > before


def lags(page: Page, records: int, seconds: float = 0.0) -> bool:
    """Whether a worker shows a lag of at least ``records``, the oldest of them at least ``seconds`` old."""
    read = page.read()
    shown = read.total("afresh_lag_records"), max(read.by("afresh_lag_seconds", "topic").values(), default=0)
    return shown[0] >= records and shown[1] >= seconds


def memory(process: ServerProcess, what: str) -> int:
    """Return one figure of a process's memory, such as ``VmRSS``, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(f"{what}:"))
    return int(line.split()[1]) * 1024


@contextmanager
def limited(process: ServerProcess) -> Iterator[None]:
    """Limit the memory that a process may take in addition; at the end, check that it survived and kept the limit."""
    pid, before = process.pid, memory(process, "VmRSS")
    assert pid is not None
    limit = memory(process, "VmData") + ((ROOM_MIB + STACKS_MIB) << 20)
    resource.prlimit(pid, resource.RLIMIT_DATA, (limit, limit))
    yield
    assert process.pid == pid, process.log.read_text()[-2000:]
    peak = memory(process, "VmHWM") - before
    assert peak < ROOM_MIB << 20, f"{peak / 2**20:.1f} MiB more at the peak"


@contextmanager
def worker(settings: Settings, folder: Path) -> Iterator[tuple[Deployment, ServerProcess, Page]]:
    """Run a deployment with one worker that has warmed up."""
    settings = settings.model_copy(
        update={"list_refresh_seconds": 0.5, "session_timeout_seconds": SESSION_SECONDS}
    )
    with deployment(settings, folder) as made:
        process = made.process()
        with made.running(process) as page:
            made.load(2000)
            wait(
                lambda: accepted(page) == 2000 and lag(page) == 0,
                "the worker to have warmed up",
                WAIT_SECONDS,
            )
            yield made, process, page


def asleep(server: Server) -> AbstractContextManager[None]:
    """Stop a server's process for the block: its connections stay open, but it does not answer."""
    assert server.process is not None
    assert server.process.pid is not None
    return stopped([server.process.pid])


@contextmanager
def slowed_down(kafka: Installation, settings: Settings) -> Iterator[None]:
    """Let Kafka limit what the worker may send and read to ``BYTES_A_SECOND``."""
    rates = {"producer_byte_rate": BYTES_A_SECOND, "consumer_byte_rate": BYTES_A_SECOND}
    alter_quotas(kafka, settings, "--add-config", ",".join(f"{name}={rate}" for name, rate in rates.items()))
    try:
        yield
    finally:
        alter_quotas(kafka, settings, "--delete-config", ",".join(rates))


def alter_quotas(kafka: Installation, settings: Settings, *what: str) -> None:
    """Change the quotas of the worker's clients."""
    command = kafka.command("kafka.admin.ConfigCommand", "--bootstrap-server", settings.kafka, "--alter")
    whose = ("--entity-type", "clients", "--entity-name", f"faust-{faust.__version__}")
    subprocess.run([*command, *what, *whose], check=True)


def all_is_counted(made: Deployment, page: Page) -> None:
    """Check that every event is counted once, and that nothing is left to do."""
    report = audit(made.settings, wait_seconds=WAIT_SECONDS)
    assert report.differences == []
    assert report.events.once == report.events.total == made.sent
    wait(lambda: lag(page) == 0, "the lag to be nothing", WAIT_SECONDS)


def test_while_redis_is_slow_the_backlog_waits_in_kafka_and_the_metrics_show_it(
    kafka: Server, own_redis: Server, tmp_path: Path
) -> None:
    with (
        worker(settings_for(kafka, own_redis, tmp_path), tmp_path) as (made, process, page),
        limited(process),
    ):
        with asleep(own_redis):
            for total in (EVENTS, 2 * EVENTS):
                made.load(EVENTS, users=USERS)
                wait(partial(lags, page, records=total), "the lag to grow", WAIT_SECONDS)
            wait(partial(lags, page, records=total, seconds=3.0), "the backlog to grow old", WAIT_SECONDS)
        all_is_counted(made, page)


def test_while_kafka_is_silent_for_less_or_more_than_a_session_memory_is_bounded(
    own_kafka: Server, redis_server: Server, tmp_path: Path
) -> None:
    settings = settings_for(own_kafka, redis_server, tmp_path)
    with worker(settings, tmp_path) as (made, process, page), limited(process):
        for seconds in (SESSION_SECONDS / 2, SESSION_SECONDS * 1.5):
            before = accepted(page)
            made.load(EVENTS // 4, users=USERS)
            wait(partial(works, page, before), "the worker to be at work", WAIT_SECONDS)
            with asleep(own_kafka):
                time.sleep(seconds)
        all_is_counted(made, page)


def test_while_kafka_is_slow_the_metrics_show_the_lag_and_it_is_worked_off(
    own_kafka: Server, redis_server: Server, kafka_installation: Installation, tmp_path: Path
) -> None:
    settings = settings_for(own_kafka, redis_server, tmp_path)
    with worker(settings, tmp_path) as (made, process, page), limited(process):

        def seen() -> bool:
            # Kafka lets a burst pass before it slows the client down, so one load is not enough.
            made.load(BURST, users=USERS)
            return lags(page, records=EVENTS // 4, seconds=3.0)

        with slowed_down(kafka_installation, settings):
            wait(seen, "the lag to be seen", WAIT_SECONDS)
        all_is_counted(made, page)
