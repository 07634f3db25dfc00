from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console

from afresh.deploy.ledger import Report
from afresh.deploy.ledger.report import Events
from afresh.deploy.servers.kafka import Installation
from tests.benchmarks import scale
from tests.benchmarks.measure import family
from tests.benchmarks.scale import Scaled

MEASURED = [
    Scaled(1, 1000, 0.1, 0.09, 0.05, 0.01, Report(Events(once=1000))),
    Scaled(2, 1000, 0.0625, 0.1, 0.02, 0.005, Report(Events(once=998, missing=2), differences=["lost"])),
]


def test_a_ratio_compares_with_the_first_number_of_workers() -> None:
    figures = scale.figures(MEASURED)
    assert figures["1_workers_events_per_second"] == 10_000
    assert (figures["1_workers_ratio"], figures["2_workers_ratio"]) == (1.0, 1.6)
    assert (figures["1_workers_cpu_us_per_event"], figures["2_workers_cpu_us_per_event"]) == (90.0, 100.0)
    assert (figures["2_workers_broker_cpu_share"], figures["2_workers_cores_busy"]) == (0.16, 2.0)
    assert (figures["2_workers_events_counted_once"], figures["2_workers_differences"]) == (998, 1)


def test_the_table_shows_the_cost_of_an_event_and_the_findings_of_the_ledger() -> None:
    output = StringIO()
    Console(file=output, width=80).print(scale.table(MEASURED))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.getvalue().splitlines()]
    shown = {row[0]: row[1:] for row in rows if row}
    assert shown["events/s"] == ["10,000", "16,000"]
    assert shown["× the first"] == ["1.00", "1.60"]
    assert shown["CPU µs/event of the workers"] == ["90.0", "100.0"]
    assert shown["broker's share of the CPU"] == ["33%", "16%"]
    assert shown["missing"] == ["0", "2"]
    assert shown["the ledger's differences"] == ["0", "1"]


def test_stopped_processes_continue_afterwards() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with scale.stopped([child.pid]):
            os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        os.waitid(os.P_PID, child.pid, os.WCONTINUED)
        assert family(child.pid) == [child.pid]
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()


def test_the_ledger_finds_the_same_state_after_one_and_after_two_workers(
    kafka_installation: Installation, tmp_path: Path
) -> None:
    file = tmp_path / "figures.json"
    scale.main(["--events", "2000", "--json", str(file)])
    figures = json.loads(file.read_text())
    for workers in (1, 2):
        assert figures[f"{workers}_workers_events_counted_once"] == 2000
        assert figures[f"{workers}_workers_differences"] == 0
        assert figures[f"{workers}_workers_cpu_us_per_event"] > 0
