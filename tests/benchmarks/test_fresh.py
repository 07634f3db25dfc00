from __future__ import annotations

from io import StringIO

from rich.console import Console

from tests.benchmarks import fresh
from tests.benchmarks.fresh import Fresh


def test_the_table_compares_a_pair_with_a_derivation() -> None:
    output = StringIO()
    Console(file=output, width=140).print(fresh.table([Fresh(10_000, 500, [0.5, 1.0, 1.5], 4.0, 12.0)]))
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.getvalue().splitlines()]
    (row,) = [each for each in cells if each and each[0] == "10,000"]
    assert row == ["10,000", "500", "1.00 s", "1.49 s", "4.0 s", "4.0", "12 s"]


def test_a_pair_that_stands_in_a_list_at_once_is_seen_at_once() -> None:
    people = fresh.People.__new__(fresh.People)
    taken: list[tuple[str, str]] = []
    people.take = lambda user, item: taken.append((user, item))  # type: ignore[method-assign]
    people.listed = lambda user: ["b"]  # type: ignore[method-assign]
    assert people.pair("p", "a", "b") < fresh.PAIR_SECONDS
    assert len(taken) == 2 * fresh.TAKERS + 1
    assert taken[-1] == ("p-other-0", "a")
