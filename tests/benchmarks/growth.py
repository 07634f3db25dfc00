"""What a worker costs as its deployment grows: CPU of an event, memory, and the time from its start until it is ready.

Items grow beside few users, and users beside few items, so that each dimension is seen alone. Each size is a deployment
of its own, whose changelogs are filled with rows before anything is measured. First one worker holds all partitions:
it is timed until it is ready, and until it has derived once what follows from all items. Then the stages work off a
backlog, one after the other, with the same rows in their tables. What a list costs with as many items is measured by
``tests.benchmarks.lists``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

from afresh.deploy.demo.workers import WorkerProcess
from afresh.streams.settings import Settings
from tests.benchmarks import events
from tests.benchmarks.contenders import Bench, measure_stages
from tests.benchmarks.lists import free_memory
from tests.benchmarks.measure import cpu_seconds, peak_rss_bytes, rss_bytes
from tests.benchmarks.recovery import fill, wait
from tests.benchmarks.workers import start_worker

ITEMS = (1_000, 10_000, 100_000, 1_000_000)
USERS = (1_000, 100_000, 1_000_000)

DERIVE_SECONDS = 300.0
"""Longest wait for the first derivation."""

RESERVE_BYTES = 2**30
"""Memory that must stay free. A worker that takes more is ended before the machine ends something else."""


class Size(NamedTuple):
    """Items and users of a deployment."""

    items: int
    users: int

    def __str__(self) -> str:
        return f"{self.items:,} items and {self.users:,} users"


@dataclass(frozen=True)
class Start:
    """What a worker took from its start on, with all rows of a deployment.

    Attributes
    ----------
    ready_seconds, ready_cpu_seconds
        Time from the start of the process until it is ready, and its CPU time.
    ready_bytes
        Resident memory when it was ready.
    derive_seconds
        Time of the first derivation, which begins then; None if it did not end in time.
    peak_bytes
        Highest resident memory until that derivation ended, or was not waited for any longer.
    """

    ready_seconds: float
    ready_cpu_seconds: float
    ready_bytes: int
    derive_seconds: float | None
    peak_bytes: int


@dataclass(frozen=True)
class Grown:
    """What a deployment of one size costs.

    Attributes
    ----------
    size
        Its items and users.
    start
        What a worker took from its start on.
    stages_cpu_us
        CPU time of an event in each stage, in µs.
    """

    size: Size
    start: Start
    stages_cpu_us: dict[str, float]

    @property
    def event_cpu_us(self) -> float:
        """CPU time of an event in all stages, in µs."""
        return sum(self.stages_cpu_us.values())


def sizes() -> list[Size]:
    """Return the sizes to measure: the smallest, then more items, then more users.

    Examples
    --------
    >>> [str(size) for size in sizes()][-1]
    '1,000 items and 1,000,000 users'
    """
    of_items = [Size(items, USERS[0]) for items in ITEMS]
    return of_items + [Size(ITEMS[0], users) for users in USERS[1:]]


def measure_growth(bench: Bench, say: Callable[[str], None]) -> list[Grown]:
    """Measure all sizes that fit into memory and into the time that a worker is given."""
    measured = []
    for size in sizes():
        say(str(size))
        try:
            measured.append(measure(bench, size, say))
        except (MemoryError, TimeoutError) as error:
            say(f"no more of {size}: {error}")
    return measured


def measure(bench: Bench, size: Size, say: Callable[[str], None]) -> Grown:
    """Fill a deployment, and measure it.

    Raises
    ------
    MemoryError
        If it does not fit into memory.
    TimeoutError
        If a worker takes too long.
    """
    settings = bench.settings(f"growth-{size.items}-{size.users}")
    fill(settings, size.users, size.items)
    start = measure_start(bench, settings, say)
    backlog = events.events(bench.events, users=size.users, items=size.items)
    stages = measure_stages(bench, settings, backlog)
    return Grown(size, start, {name: one.cpu_us_per_event for name, one in stages.items()})


def measure_start(bench: Bench, settings: Settings, say: Callable[[str], None]) -> Start:
    """Start a worker, and follow it until it has derived once."""
    with ExitStack() as stack:
        began = time.monotonic()
        process, worker = start_worker(settings, bench.folder / f"{settings.namespace}-worker", stack)
        pid = process.pid
        assert pid is not None, "it has just answered"
        wait(worker, in_memory(worker.page.ready), "to be ready")
        seconds, spent, resident = time.monotonic() - began, cpu_seconds(pid), rss_bytes(pid)
        derived: float | None = None
        try:
            wait(worker, in_memory(lambda: _derived(worker, "count")), "to derive", DERIVE_SECONDS)
            derived = _derived(worker, "sum")
        except (MemoryError, TimeoutError) as error:
            say(f"the start alone: {error}")
        return Start(seconds, spent, resident, derived, peak_rss_bytes(pid))


def in_memory(look: Callable[[], object]) -> Callable[[], object]:
    """Return a function that looks in the same way while enough memory is free.

    Raises
    ------
    MemoryError
        When it is called while less than ``RESERVE_BYTES`` are free.
    """

    def looked() -> object:
        if free_memory() < RESERVE_BYTES:
            raise MemoryError("the worker does not fit into the memory of this machine")
        return look()

    return looked


def _derived(worker: WorkerProcess, what: str) -> float:
    return worker.page.read().value(f"afresh_stage_seconds_{what}", stage="derive")
