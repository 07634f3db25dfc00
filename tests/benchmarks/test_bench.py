from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from deploy.servers import genuine_kafka
from streams.errors import AfreshError
from tests.benchmarks import bench
from tests.benchmarks.latency import Latencies
from tests.benchmarks.measure import Measurement

MEASURED = {
    "profile": Measurement(1000, 0.02, 0.016, 2**20),
    "faust": Measurement(1000, 0.5, 0.4, 2**20),
    "quixstreams": Measurement(1000, 0.05, 0.04, 2**20),
    "whole": Measurement(1000, 0.2, 0.1, 3 * 2**20),
}


def test_the_figures_have_the_names_that_others_read() -> None:
    assert bench.figures(MEASURED, Latencies(0.0123, 0.0456, 1000, 0)) == {
        "profile_cpu_us_per_event": 16.0,
        "faust_cpu_us_per_event": 400.0,
        "quixstreams_cpu_us_per_event": 40.0,
        "whole_cpu_us_per_event": 100.0,
        "whole_events_per_second_per_core": 10_000,
        "peak_rss_bytes": 3 * 2**20,
        "latency_p50_seconds": 0.0123,
        "latency_p99_seconds": 0.0456,
    }


def _printed(measured: dict[str, Measurement]) -> dict[str, list[str]]:
    """The words of each row of the table, by its first."""
    output = StringIO()
    Console(file=output, width=200).print(bench.table(measured))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.getvalue().splitlines()]
    return {row[0]: row[1:] for row in rows if row}


def test_the_table_says_how_many_times_cheaper_each_is() -> None:
    assert _printed(MEASURED)["profile"] == ["1,000", "16.0", "62,500", "25.0", "2.5", "1 MiB"]
    assert _printed(MEASURED)["quixstreams"][3:5] == ["10.0", "1.0"]


def test_what_does_another_job_has_no_ratio() -> None:
    assert _printed(MEASURED)["whole"][3:5] == ["-", "-"]


def test_without_a_baseline_there_is_no_ratio() -> None:
    assert _printed({"profile": MEASURED["profile"]})["profile"][3:5] == ["-", "-"]


@pytest.mark.parametrize(
    ("only", "events", "expected"),
    [
        ("learn", "60000", {"ingest_cpu_us_per_event", "profile_cpu_us_per_event", "learn_cpu_us_per_event"}),
        ("whole", "20000", {"whole_cpu_us_per_event", "whole_events_per_second_per_core", "peak_rss_bytes"}),
    ],
)
def test_our_own_worker_is_measured_over_a_genuine_kafka(
    only: str, events: str, expected: set[str], tmp_path: Path
) -> None:
    try:
        genuine_kafka()
    except AfreshError as error:
        pytest.skip(f"no Kafka (set KAFKA_HOME): {error}")
    bench.main(["--only", only, "--events", events, "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures) == expected
    assert all(figure > 0 for figure in figures.values())
