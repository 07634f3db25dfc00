"""Measure scaling out: ``python -m tests.benchmarks.scale`` does the same backlog with 1 and with 2 workers.

Broker, Redis and workers share the machine, so events per second depend on its number of cores. The CPU time for each
event does not depend on it, and is reported, too. If it stays the same, one more worker adds the work of one more core.
The ledger audits every measurement, and compares each with the first.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from afresh.deploy.ledger import Report, audit
from afresh.deploy.servers import Server, local_kafka, local_redis
from afresh.deploy.terminal import plain
from afresh.state.errors import AfreshError
from afresh.streams.kafka.admin import create_topics
from afresh.streams.settings import NO_ENCODER, Settings
from afresh.streams.topics import Topics
from tests.benchmarks import events
from tests.benchmarks.measure import committed_counter, cpu_seconds, wait_until
from tests.benchmarks.workers import start_worker

PARTITIONS = 8
USERS, ITEMS = 2_000, 2_000

START_SECONDS, WORK_SECONDS, SETTLE_SECONDS = 120.0, 600.0, 120.0

SESSION_SECONDS = 60.0
"""Session timeout. Workers are stopped while the backlog is written, and the group must not take them for dead."""

POLL_SECONDS = 0.2
"""Time between two looks at the committed offsets. Each look takes CPU time of the broker, too."""


@dataclass(frozen=True)
class Servers:
    """The servers that all measurements use, and a folder for logs and files."""

    kafka: Server
    redis: Server
    folder: Path

    def cpu_seconds(self) -> tuple[float, float]:
        """Return the CPU time that the broker and Redis have used so far."""
        return _spent(self.kafka), _spent(self.redis)


def _spent(server: Server) -> float:
    pid = server.process.pid if server.process else None
    assert pid is not None, "it was started here"
    return cpu_seconds(pid)


@dataclass(frozen=True)
class Scaled:
    """What a backlog took with a given number of workers.

    Attributes
    ----------
    workers
        Number of workers.
    events
        Events of the backlog.
    seconds
        Time until the last offset was committed; then all lists were in Redis.
    workers_cpu_seconds, broker_cpu_seconds, redis_cpu_seconds
        CPU time meanwhile: of all workers together, of the broker, and of Redis.
    report
        What the ledger found.
    """

    workers: int
    events: int
    seconds: float
    workers_cpu_seconds: float
    broker_cpu_seconds: float
    redis_cpu_seconds: float
    report: Report

    @property
    def events_per_second(self) -> float:
        """Events per second of elapsed time."""
        return self.events / self.seconds

    @property
    def cpu_seconds(self) -> float:
        """CPU time of workers, broker and Redis together."""
        return self.workers_cpu_seconds + self.broker_cpu_seconds + self.redis_cpu_seconds

    @property
    def broker_share(self) -> float:
        """Share of the broker in the CPU time of all."""
        return self.broker_cpu_seconds / self.cpu_seconds

    @property
    def cores_busy(self) -> float:
        """Average number of cores that all together kept busy."""
        return self.cpu_seconds / self.seconds


def measure(servers: Servers, workers: int, number: int, against: str | None) -> Scaled:
    """Let workers share a backlog, and audit the result.

    Parameters
    ----------
    servers
        The servers to use.
    workers
        Number of workers.
    number
        Events of the backlog.
    against
        Namespace of an earlier measurement with the same backlog; None if there is none.
    """
    settings = deployment(servers, workers)
    create_topics(settings)
    topics = Topics(settings)
    events.write(settings.kafka, topics.items.name, events.items(ITEMS))
    with ExitStack() as stack:
        pids = [_start(settings, servers.folder, stack, each) for each in range(workers)]
        _wait_for_items(settings, pids[0])
        sources = [topics.interactions.name, topics.examples.name]
        done = stack.enter_context(committed_counter(settings.kafka, settings.namespace, sources))
        with stopped(pids):
            backlog = events.events(number, users=USERS, items=ITEMS)
            events.write(settings.kafka, topics.events.name, backlog)
            of_servers, of_workers = servers.cpu_seconds(), sum(map(cpu_seconds, pids))
        began = time.monotonic()
        wait_until(pids[0], done, number, began + WORK_SECONDS, POLL_SECONDS)
        seconds = time.monotonic() - began
        of_workers = sum(map(cpu_seconds, pids)) - of_workers
        broker, redis = (now - then for now, then in zip(servers.cpu_seconds(), of_servers, strict=True))
        report = audit(settings, against=against, wait_seconds=SETTLE_SECONDS)
    return Scaled(workers, number, seconds, of_workers, broker, redis, report)


def deployment(servers: Servers, workers: int) -> Settings:
    """Return the settings of the deployment for a number of workers."""
    return Settings(
        kafka=servers.kafka.address,
        redis=SecretStr(servers.redis.address),
        namespace=f"scale-{workers}",
        partitions=PARTITIONS,
        encoder=NO_ENCODER,
        session_timeout_seconds=SESSION_SECONDS,
    )


def _start(settings: Settings, folder: Path, stack: ExitStack, number: int) -> int:
    """Start a worker, and wait until it has partitions."""
    process, worker = start_worker(settings, folder / f"{settings.namespace}-{number}", stack)
    worker.wait_until_ready()
    assert process.pid is not None, "it is ready"
    return process.pid


def _wait_for_items(settings: Settings, pid: int) -> None:
    topic = Topics(settings).items.name
    with committed_counter(settings.kafka, settings.namespace, [topic]) as done:
        wait_until(pid, done, ITEMS, time.monotonic() + START_SECONDS, POLL_SECONDS)


@contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    """Stop processes, so that the whole backlog is written before they begin with it; let them go on at exit."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def run(servers: Servers, workers: Sequence[int], number: int, say: Callable[[str], None]) -> list[Scaled]:
    """Measure each number of workers, in a deployment of its own."""
    measured: list[Scaled] = []
    for each in workers:
        say(f"{number:,} events, {each} worker(s) …")
        against = f"scale-{measured[0].workers}" if measured else None
        measured.append(measure(servers, each, number, against))
    return measured


def figures(measured: Sequence[Scaled]) -> dict[str, float]:
    """Return the figures as written to JSON."""
    return {
        f"{one.workers}_workers_{name}": round(value, 3)
        for one in measured
        for name, value in {
            "events_per_second": one.events_per_second,
            "ratio": one.events_per_second / measured[0].events_per_second,
            "cpu_us_per_event": one.workers_cpu_seconds / one.events * 1e6,
            "broker_cpu_us_per_event": one.broker_cpu_seconds / one.events * 1e6,
            "broker_cpu_share": one.broker_share,
            "cores_busy": one.cores_busy,
            "events_counted_once": one.report.events.once,
            "differences": len(one.report.differences),
        }.items()
    }


def table(measured: Sequence[Scaled]) -> Table:
    """Table with one column for each number of workers."""
    shown = Table("workers", *(str(one.workers) for one in measured))
    for column in shown.columns[1:]:
        column.justify = "right"
    first = measured[0]
    rows: dict[str, Callable[[Scaled], str]] = {
        "events/s": lambda one: f"{one.events_per_second:,.0f}",
        "× the first": lambda one: f"{one.events_per_second / first.events_per_second:.2f}",
        "CPU µs/event of the workers": lambda one: _per_event(one, one.workers_cpu_seconds),
        "of the broker": lambda one: _per_event(one, one.broker_cpu_seconds),
        "of Redis": lambda one: _per_event(one, one.redis_cpu_seconds),
        "broker's share of the CPU": lambda one: f"{one.broker_share:.0%}",
        "cores busy": lambda one: f"{one.cores_busy:.2f}",
        "events counted once": lambda one: f"{one.report.events.once:,}",
        "twice": lambda one: f"{one.report.events.twice:,}",
        "missing": lambda one: f"{one.report.events.missing:,}",
        "the ledger's differences": lambda one: f"{len(one.report.differences):,}",
    }
    for name, show in rows.items():
        shown.add_row(name, *map(show, measured))
    return shown


def _per_event(one: Scaled, seconds: float) -> str:
    return f"{seconds / one.events * 1e6:.1f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, write the figures; exit 1 if the ledger finds a difference."""
    parser = argparse.ArgumentParser(prog="bench-scale", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--events", type=int, default=200_000, metavar="N", help="events in the backlog")
    parser.add_argument(
        "--workers",
        type=int,
        nargs="+",
        default=[1, 2],
        metavar="N",
        help="numbers of workers to measure, one after the other",
    )
    chosen = parser.parse_args(arguments)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    console = Console()
    with TemporaryDirectory() as name:
        folder = Path(name)
        with local_kafka(folder / "kafka", kind="kafka") as kafka, local_redis(folder / "redis") as redis:
            servers = Servers(kafka, redis, folder)
            measured = run(servers, chosen.workers, chosen.events, console.print)
    console.print(table(measured))
    console.print(f"{os.cpu_count()} cores, shared with the broker and Redis")
    for one in measured:
        for sentence in one.report.differences:
            console.print(plain(f"{one.workers} workers: {sentence}"))
    if chosen.json:
        chosen.json.write_text(json.dumps(figures(measured), indent=2) + "\n")
    if any(one.report.differences for one in measured):
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except AfreshError as error:
        sys.exit(str(error))
