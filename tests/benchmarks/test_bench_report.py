from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.table import Table

from tests.benchmarks.bench_report import Measured, figures, list_table, table
from tests.benchmarks.latency import Latencies
from tests.benchmarks.lists import ListCost
from tests.benchmarks.measure import Measurement

PROCESSES = {
    "profile": Measurement(1000, 0.02, 0.016, 2**20),
    "faust": Measurement(1000, 0.5, 0.4, 2**20),
    "quixstreams": Measurement(1000, 0.05, 0.04, 2**20),
    "whole": Measurement(1000, 0.2, 0.1, 3 * 2**20),
}
LISTS = [ListCost(items=100_000, lists=200, cpu_us=2000, exact_lists=30, exact_cpu_us=150_000, recall=0.995)]


def test_the_figures_have_the_names_that_others_read() -> None:
    assert figures(Measured(PROCESSES, Latencies(0.0123, 0.0456, 1000, 0), 2500, LISTS)) == {
        "profile_cpu_us_per_event": 16.0,
        "faust_cpu_us_per_event": 400.0,
        "quixstreams_cpu_us_per_event": 40.0,
        "whole_cpu_us_per_event": 100.0,
        "whole_events_per_second_per_core": 10_000,
        "peak_rss_bytes": 3 * 2**20,
        "latency_p50_seconds": 0.0123,
        "latency_p99_seconds": 0.0456,
        "latency_cpu_us_per_event": 2500,
        "list_cpu_us_of_100000_items": 2000,
        "list_full_ratio_of_100000_items": 75,
        "list_recall_of_100000_items": 0.995,
    }


def test_a_contender_that_was_not_measured_has_no_figure() -> None:
    assert figures(Measured()) == {}


def _printed(made: Table) -> dict[str, list[str]]:
    """Return the cells of each line of a printed table, by the first cell."""
    output = StringIO()
    Console(file=output, width=200).print(made)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.getvalue().splitlines()]
    return {row[0]: row[1:] for row in rows if row}


def test_the_table_shows_how_many_times_cheaper_each_contender_is() -> None:
    printed = _printed(table(PROCESSES))
    assert printed["profile"] == ["1,000", "16.0", "62,500", "25.0", "2.5", "1 MiB"]
    assert printed["quixstreams"][3:5] == ["10.0", "1.0"]


def test_a_contender_with_another_job_has_no_ratio() -> None:
    assert _printed(table(PROCESSES))["whole"][3:5] == ["-", "-"]


def test_without_a_baseline_there_is_no_ratio() -> None:
    assert _printed(table({"profile": PROCESSES["profile"]}))["profile"][3:5] == ["-", "-"]


def test_the_table_of_lists_shows_what_scoring_all_items_would_cost() -> None:
    assert _printed(list_table(LISTS))["100,000"] == ["2,000", "150,000", "75.0", "0.9950", "30"]
