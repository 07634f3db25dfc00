"""Measure what is used at rest: ``python -m tests.benchmarks.idle`` compares long polls with short ones.

Two deployments share a broker: one as it comes, one whose fetches the broker may hold for 20 ms only, so that its
clients ask again and again. Their workers take turns, so that other work on the machine touches both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from afresh.deploy.servers import local_kafka, local_redis
from afresh.state.errors import AfreshError
from afresh.streams.kafka.admin import create_topics
from afresh.streams.kafka.polls import SHORT_SECONDS
from afresh.streams.settings import NO_ENCODER, Settings
from afresh.streams.topics import Topics
from tests.benchmarks import events
from tests.benchmarks.latency import Latencies, OpenLoop
from tests.benchmarks.measure import committed_counter, cpu_seconds, wait_until
from tests.benchmarks.scale import POLL_SECONDS, Servers
from tests.benchmarks.workers import start_worker

LONG, SHORT, NOBODY = "long", "short", "nobody"
WAITS = {LONG: Settings.model_fields["fetch_max_wait_seconds"].default, SHORT: SHORT_SECONDS}

PARTITIONS = 8
USERS, ITEMS, EVENTS = 300, 1_000, 2_000
RATE, WARM_UP_SECONDS = 5, 5.0
START_SECONDS = 300.0

SETTLE_SECONDS = 10.0
"""Time until a worker has made all lists, and nothing is left of its start."""


@dataclass(frozen=True)
class Rested:
    """What was used at rest, in percent of a core.

    Attributes
    ----------
    worker, broker, redis
        CPU time of each.
    """

    worker: float
    broker: float
    redis: float


@dataclass(frozen=True)
class AtRest:
    """Everything measured, by the kind of deployment.

    Attributes
    ----------
    rested
        What was used at rest; by nobody: without a worker.
    latencies
        From event to list, at ``RATE`` events a second.
    """

    rested: Mapping[str, Rested]
    latencies: Mapping[str, Latencies]


class Turns:
    """Adds up what the turns of each kind used.

    Parameters
    ----------
    servers
        The servers of both deployments.
    seconds
        Seconds of a turn.
    """

    def __init__(self, servers: Servers, seconds: float) -> None:
        self._servers = servers
        self._seconds = seconds
        self._spent: defaultdict[str, list[tuple[float, ...]]] = defaultdict(list)

    def rest(self, kind: str, pid: int | None = None) -> None:
        """Look on while everything is at rest, with a worker or without."""
        before, began = self._cpu(pid), time.monotonic()
        time.sleep(self._seconds)
        after, seconds = self._cpu(pid), time.monotonic() - began
        self._spent[kind].append((seconds, *(now - then for now, then in zip(after, before, strict=True))))

    def _cpu(self, pid: int | None) -> tuple[float, ...]:
        return (0.0 if pid is None else cpu_seconds(pid), *self._servers.cpu_seconds())

    def rested(self) -> dict[str, Rested]:
        """Return what was used at rest, by kind."""
        totals = {
            kind: [sum(each) for each in zip(*spent, strict=True)] for kind, spent in self._spent.items()
        }
        return {
            kind: Rested(*(100 * used / seconds for used in rest))
            for kind, (seconds, *rest) in totals.items()
        }


def measure(servers: Servers, turns: int, seconds: float, say: Callable[[str], None]) -> AtRest:
    """Let nobody and both workers take turns at rest; in their last turns, the workers also answer events."""
    deployments = {kind: deployment(servers, kind) for kind in WAITS}
    spent, latencies = Turns(servers, seconds), dict[str, Latencies]()
    for turn in range(turns):
        say(f"turn {turn + 1} of {turns} …")
        spent.rest(NOBODY)
        for kind, settings in deployments.items():
            with ExitStack() as stack:
                spent.rest(kind, start(settings, servers.folder / f"{kind}-{turn}", stack))
                if turn == turns - 1:
                    loop = OpenLoop(settings, kind, items=ITEMS)
                    counted = turns * seconds
                    latencies[kind] = asyncio.run(
                        loop.run(rate=RATE, seconds=counted, warm_up=WARM_UP_SECONDS)
                    )
    return AtRest(spent.rested(), latencies)


def deployment(servers: Servers, kind: str) -> Settings:
    """Make the topics of a deployment, with items and events; return its settings."""
    settings = Settings(
        kafka=servers.kafka.address,
        redis=SecretStr(servers.redis.address),
        namespace=f"idle-{kind}",
        partitions=PARTITIONS,
        encoder=NO_ENCODER,
        fetch_max_wait_seconds=WAITS[kind],
    )
    create_topics(settings)
    topics = Topics(settings)
    events.write(settings.kafka, topics.items.name, events.items(ITEMS))
    events.write(settings.kafka, topics.events.name, events.events(EVENTS, users=USERS, items=ITEMS))
    return settings


def start(settings: Settings, folder: Path, stack: ExitStack) -> int:
    """Start a worker, and return its process id once it has nothing to do."""
    process, worker = start_worker(settings, folder, stack)
    worker.wait_until_ready()
    assert process.pid is not None, "it is ready"
    topics = Topics(settings)
    sources = [topics.interactions.name, topics.examples.name]
    with committed_counter(settings.kafka, settings.namespace, sources) as done:
        wait_until(process.pid, done, EVENTS, time.monotonic() + START_SECONDS, POLL_SECONDS)
    time.sleep(SETTLE_SECONDS)
    return process.pid


def figures(measured: AtRest) -> dict[str, float]:
    """Return the figures as written to JSON."""
    at_rest = {
        f"{kind}_{who}_percent": getattr(rested, who)
        for kind, rested in measured.rested.items()
        for who in ("worker", "broker", "redis")
    }
    latencies = {
        f"{kind}_{name}_ms": 1000 * getattr(found, f"{name}_seconds")
        for kind, found in measured.latencies.items()
        for name in ("p50", "p99")
    }
    unanswered = {f"{kind}_unanswered": found.unanswered for kind, found in measured.latencies.items()}
    return {name: round(value, 2) for name, value in (at_rest | latencies | unanswered).items()}


def table(measured: AtRest) -> Table:
    """Table with one column for each kind."""
    rested, latencies = measured.rested, measured.latencies
    shown = Table("", "long polls", "short polls", "short : long")
    for column in shown.columns[1:]:
        column.justify = "right"
    idle = rested[NOBODY].broker
    rows: dict[str, tuple[Callable[[str], float], str]] = {
        "worker at rest, % of a core": (lambda kind: rested[kind].worker, ".1f"),
        "broker for it, % of a core": (lambda kind: rested[kind].broker - idle, ".1f"),
        "event to list, p50 in ms": (lambda kind: 1000 * latencies[kind].p50_seconds, ".0f"),
        "event to list, p99 in ms": (lambda kind: 1000 * latencies[kind].p99_seconds, ".0f"),
    }
    for name, (figure, shape) in rows.items():
        long, short = figure(LONG), figure(SHORT)
        shown.add_row(name, f"{long:{shape}}", f"{short:{shape}}", f"{short / long:.1f}" if long > 0 else "")
    shown.caption = f"The broker takes {idle:.1f} % for itself."
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(prog="bench-idle", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--turns", type=int, default=3, metavar="N", help="turns of each kind")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="N", help="seconds of a turn")
    chosen = parser.parse_args(arguments)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    console = Console()
    with TemporaryDirectory() as name:
        folder = Path(name)
        with local_kafka(folder / "kafka", kind="kafka") as kafka, local_redis(folder / "redis") as redis:
            measured = measure(Servers(kafka, redis, folder), chosen.turns, chosen.seconds, console.print)
    console.print(table(measured))
    if chosen.json:
        chosen.json.write_text(json.dumps(figures(measured), indent=2) + "\n")


if __name__ == "__main__":
    try:
        main()
    except AfreshError as error:
        sys.exit(str(error))
