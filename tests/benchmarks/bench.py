"""Measure afresh and other frameworks in one run on one machine: ``python -m tests.benchmarks.bench``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from afresh.deploy.servers import local_kafka, local_redis
from afresh.state.errors import AfreshError
from tests.benchmarks import events, growth_report
from tests.benchmarks.bench_report import Measured, figures, list_table, table
from tests.benchmarks.contenders import (
    MODULES,
    STAGES,
    Bench,
    measure_baseline,
    measure_latency,
    measure_stages,
    measure_whole,
)
from tests.benchmarks.growth import measure_growth
from tests.benchmarks.lists import measure_lists

LISTS, GROWTH = "lists", "growth"
CONTENDERS = [*STAGES, *MODULES, "whole", "latency", LISTS]
ASKED_FOR = [GROWTH]
"""Contenders that take long, and are measured only when they are asked for."""

REPORT_WIDTH = 120


def run(bench: Bench, names: Sequence[str], say: Callable[[str], None]) -> Measured:
    """Measure one contender after the other; together they would take CPU time from each other."""
    measured = Measured()
    stages = [name for name in STAGES if name in names]
    if stages:
        say("our stages")
        backlog = events.events(bench.events)
        measured.processes |= measure_stages(bench, bench.settings("stages"), backlog, stages[-1])
    for name in MODULES:
        if name in names and (name != "quixstreams" or find_spec("quixstreams")):
            say(name)
            measured.processes[name] = measure_baseline(bench, name)
    if "whole" in names:
        say("the whole path")
        measured.processes["whole"] = measure_whole(bench)
    if "latency" in names:
        say("event → Redis")
        measured.latencies, measured.steady_cpu_us = measure_latency(bench)
    if GROWTH in names:
        measured.grown = measure_growth(bench, say)
    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and write the figures."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="also write the figures to this file, and the picture of growth beside it",
    )
    parser.add_argument("--events", type=int, default=300_000, metavar="N", help="events in the backlog")
    parser.add_argument(
        "--rate", type=int, default=1000, metavar="R", help="events per second while latency is measured"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[*CONTENDERS, *ASKED_FOR],
        help="measure only this contender; may be repeated",
    )
    chosen = parser.parse_args(arguments)
    # Just after a topic is made, a broker may say for a moment that it does not lead it, and aiokafka warns.
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    console = Console(width=None if sys.stdout.isatty() else REPORT_WIDTH)
    names = chosen.only or CONTENDERS

    def say(what: str) -> None:
        console.print(f"measuring {what} …")

    measured = Measured() if set(names) == {LISTS} else with_servers(chosen.events, chosen.rate, names, say)
    if LISTS in names or GROWTH in names:
        measured.lists = measure_lists(say)
    show(measured, chosen.rate, console)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures(measured), indent=2) + "\n")
        if measured.grown:
            growth_report.draw(measured.grown, measured.lists, chosen.json.with_suffix(".png"))


def with_servers(number: int, rate: int, names: Sequence[str], say: Callable[[str], None]) -> Measured:
    """Start servers, measure the contenders that need them, and end the servers."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with local_kafka(folder / "kafka", kind="kafka") as kafka, local_redis(folder / "redis") as redis:
            return run(Bench(kafka.address, redis.address, folder, number, rate), names, say)


def show(measured: Measured, rate: int, console: Console) -> None:
    """Print the tables."""
    if measured.processes:
        console.print(table(measured.processes))
    if latencies := measured.latencies:
        p50, p99 = latencies.p50_seconds * 1e3, latencies.p99_seconds * 1e3
        console.print(f"event → Redis at {rate:,} events/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
        console.print(f"({latencies.sent:,} events, {latencies.unanswered:,} without a list)")
        console.print(f"{measured.steady_cpu_us:,.0f} µs of CPU an event with its list")
    if measured.lists:
        console.print(list_table(measured.lists))
    if measured.grown:
        console.print(growth_report.table(measured.grown, measured.lists))
        for sentence in growth_report.formula(measured.grown):
            console.print(sentence)


if __name__ == "__main__":
    try:
        main()
    except AfreshError as error:
        sys.exit(str(error))
