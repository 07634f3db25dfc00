"""The measurements of ``tests.benchmarks.bench``, as figures for JSON and as tables to read."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.table import Table

from tests.benchmarks import growth_report
from tests.benchmarks.growth import Grown
from tests.benchmarks.latency import Latencies
from tests.benchmarks.lists import ListCost
from tests.benchmarks.measure import Measurement

OTHERS = ("faust", "quixstreams")
SAME_JOB = ("profile", *OTHERS)
"""Contenders that do the work of `job`. Only their costs can be compared as a ratio."""


@dataclass
class Measured:
    """What was measured so far.

    Attributes
    ----------
    processes
        Costs by contender: stages of afresh, other frameworks, and the whole path.
    latencies
        Latencies from event to Redis; None if not measured.
    steady_cpu_us
        CPU time of an event meanwhile, with its list and all else that the worker does, in µs.
    lists
        Costs of lists, one entry for each size of the catalogue.
    grown
        Costs of deployments of several sizes.
    """

    processes: dict[str, Measurement] = field(default_factory=dict)
    latencies: Latencies | None = None
    steady_cpu_us: float = 0.0
    lists: list[ListCost] = field(default_factory=list)
    grown: list[Grown] = field(default_factory=list)


def figures(measured: Measured) -> dict[str, float]:
    """Return the figures as written to JSON; leave out what was not measured."""
    processes, latencies = measured.processes, measured.latencies
    result: dict[str, float] = {
        f"{name}_cpu_us_per_event": round(one.cpu_us_per_event, 2) for name, one in processes.items()
    }
    if "whole" in processes:
        whole = processes["whole"]
        result["whole_events_per_second_per_core"] = round(whole.events / whole.cpu_seconds)
        result["peak_rss_bytes"] = whole.peak_rss_bytes
    if latencies:
        result["latency_p50_seconds"] = round(latencies.p50_seconds, 4)
        result["latency_p99_seconds"] = round(latencies.p99_seconds, 4)
        result["latency_cpu_us_per_event"] = round(measured.steady_cpu_us, 1)
    for cost in measured.lists:
        of = f"{cost.items}_items"
        result[f"list_cpu_us_of_{of}"] = round(cost.cpu_us, 1)
        result[f"list_full_ratio_of_{of}"] = round(cost.exact_cpu_us / cost.cpu_us, 2)
        result[f"list_recall_of_{of}"] = round(cost.recall, 4)
    return result | growth_report.figures(measured.grown)


def table(measured: dict[str, Measurement]) -> Table:
    """Table with one line for each contender, and how many times cheaper it is than the other frameworks.

    A contender that does other work than `job` has no such ratio.
    """
    shown = Table("", "events", "CPU µs/event", "events/s a core", "× Faust", "× quix", "peak memory")
    shown.columns[0].no_wrap = True
    for column in shown.columns[1:]:
        column.justify = "right"
    for name, one in measured.items():
        ratios = [
            f"{measured[other].cpu_us_per_event / one.cpu_us_per_event:.1f}"
            if name in SAME_JOB and other in measured
            else "-"
            for other in OTHERS
        ]
        per_core = f"{one.events / one.cpu_seconds:,.0f}"
        memory = f"{one.peak_rss_bytes / 2**20:,.0f} MiB"
        shown.add_row(name, f"{one.events:,}", f"{one.cpu_us_per_event:.1f}", per_core, *ratios, memory)
    return shown


def list_table(costs: list[ListCost]) -> Table:
    """Table with one line for each catalogue: what a list costs, and what it would cost to score every item."""
    shown = Table("items", "CPU µs/list", "all items scored", "×", "recall@10", "lists compared")
    for column in shown.columns:
        column.justify = "right"
    for cost in costs:
        full = f"{cost.exact_cpu_us:,.0f}"
        ratio = f"{cost.exact_cpu_us / cost.cpu_us:.1f}"
        shown.add_row(
            f"{cost.items:,}", f"{cost.cpu_us:,.0f}", full, ratio, f"{cost.recall:.4f}", str(cost.exact_lists)
        )
    return shown
