from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.benchmarks.growth import Grown, Size, Start
from tests.benchmarks.growth_report import MEASURED, Line, draw, figures, formula, line, rooms, table
from tests.benchmarks.lists import ListCost

MIB = 2**20


def grown(items: int, users: int, *, derived: bool = True) -> Grown:
    """Make the figures of a deployment that follows a formula exactly."""
    memory = 100 * MIB + 10_000 * rooms(items) + 1_000 * users
    start = Start(3 + items / 1e4 + users / 1e5, 1.5, memory // 2, 2.0 if derived else None, memory)
    return Grown(Size(items, users), start, {"ingest": 5.0, "profile": 15.0, "learn": items / 100})


GROWN = [grown(1_000, 1_000), grown(100_000, 1_000), grown(1_000, 1_000_000)]
COSTS = [ListCost(items, 200, cpu_us, 30, 9e4, 1.0) for items, cpu_us in ((1_000, 1_000), (100_000, 1_500))]


def test_a_line_tells_what_an_item_and_a_user_add() -> None:
    found = line(GROWN, MEASURED["peak_bytes"], rooms)
    assert found.base == pytest.approx(100 * MIB)
    assert found.an_item == pytest.approx(10_000)
    assert found.a_user == pytest.approx(1_000)


def test_a_size_without_the_figure_does_not_bend_the_line() -> None:
    more = [*GROWN, grown(1_000_000, 1_000, derived=False)]
    assert line(more, MEASURED["derive_seconds"]) == line(GROWN, MEASURED["derive_seconds"])
    assert line(more[-1:], MEASURED["derive_seconds"]) == Line(0, 0, 0)


def test_a_single_size_has_no_slope() -> None:
    found = line(GROWN[:1], MEASURED["ready_seconds"])
    assert (found.an_item, found.a_user) == (0, 0)


def test_the_formula_says_what_items_and_users_take() -> None:
    assert formula(GROWN) == [
        "memory = 100 MiB + 10,000 B × rooms + 1,000 B × users",
        "seconds to ready = 3.0 + 100.0 × million items + 10.0 × million users",
    ]


def test_the_table_shows_how_many_times_the_smallest_size_each_figure_is() -> None:
    output = StringIO()
    Console(file=output, width=200).print(table([*GROWN, grown(10, 10, derived=False)], COSTS))
    rows = [[cell.strip() for cell in each.split("│")[1:-1]] for each in output.getvalue().splitlines()]
    large = next(row for row in rows if row and row[0] == "100,000")
    assert large[2] == "1,020  × 34.0"
    assert large[3] == "1,500  × 1.5"
    assert next(row for row in rows if row and row[0] == "10")[-2] == "-"


def test_the_figures_name_items_and_users_and_leave_out_what_was_not_reached() -> None:
    found = figures([grown(1_000, 10, derived=False)])
    assert found["growth_event_cpu_us_of_1000_items_10_users"] == 30
    assert found["growth_learn_cpu_us_of_1000_items_10_users"] == 10
    assert not any("derive" in name for name in found)


@pytest.mark.parametrize("measured", [GROWN, [grown(1_000, 1_000, derived=False)]])
def test_the_picture_is_drawn_of_whatever_was_measured(measured: list[Grown], tmp_path: Path) -> None:
    draw(measured, COSTS, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
