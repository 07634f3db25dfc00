from __future__ import annotations

import time
from io import StringIO

import pytest
from rich.console import Console

from tests.benchmarks import idle
from tests.benchmarks.idle import LONG, NOBODY, SHORT, AtRest, Rested, Turns
from tests.benchmarks.latency import Latencies

MEASURED = AtRest(
    {NOBODY: Rested(0.0, 2.0, 0.1), LONG: Rested(1.0, 2.5, 0.1), SHORT: Rested(9.0, 12.0, 0.1)},
    {LONG: Latencies(0.004, 0.02, 100, 0), SHORT: Latencies(0.005, 0.018, 100, 1)},
)


def test_the_figures_have_what_was_used_at_rest_and_the_latency_of_each_kind() -> None:
    figures = idle.figures(MEASURED)
    assert (figures["long_worker_percent"], figures["short_worker_percent"]) == (1.0, 9.0)
    assert (figures["nobody_broker_percent"], figures["short_broker_percent"]) == (2.0, 12.0)
    assert (figures["long_p50_ms"], figures["short_p99_ms"], figures["short_unanswered"]) == (4.0, 18.0, 1)


def test_the_table_compares_with_short_polls_and_leaves_out_what_the_broker_takes_by_itself() -> None:
    output = StringIO()
    Console(file=output, width=90).print(idle.table(MEASURED))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.getvalue().splitlines()]
    shown = {row[0]: row[1:] for row in rows if row}
    assert shown["worker at rest, % of a core"] == ["1.0", "9.0", "9.0"]
    assert shown["broker for it, % of a core"] == ["0.5", "10.0", "20.0"]
    assert shown["event to list, p50 in ms"] == ["4", "5", "1.2"]
    assert "The broker takes 2.0 % for itself." in output.getvalue()


def test_turns_of_a_kind_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter([(0.0, 1.0, 5.0), (0.1, 1.2, 5.0), (0.1, 2.0, 5.0), (0.4, 2.2, 5.1)])
    clock = iter([0.0, 10.0, 50.0, 60.0])
    turns = Turns(None, 10.0)  # type: ignore[arg-type]
    monkeypatch.setattr(turns, "_cpu", lambda _: next(spent))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    for _ in range(2):
        turns.rest(LONG, 1)
    rested = turns.rested()[LONG]
    assert (rested.worker, rested.broker, rested.redis) == pytest.approx((2.0, 2.0, 0.5))
