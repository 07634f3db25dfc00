from __future__ import annotations

from io import StringIO

from rich.console import Console

from tests.benchmarks import fresh
from tests.benchmarks.fresh import Case, Fresh


def test_the_table_compares_a_pair_with_a_derivation() -> None:
    output = StringIO()
    Console(file=output, width=260).print(
        fresh.table([Fresh(Case(10_000, 500, "inline"), True, [0.5, 1.0, 1.5], 4.0, 12.0, 7.0, [2.0], 0.05)])
    )
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.getvalue().splitlines()]
    (row,) = [each for each in cells if each and each[0] == "10,000"]
    assert row[:4] == ["10,000", "500", "inline", "yes"]
    assert row[4:9] == ["1.00 s", "1.49 s", "4.0 s", "4.0", "12 s"]
    assert row[9:] == ["7 s", "2.00 s", "2.00 s", "0.05 s"]


def test_a_pair_that_stands_in_a_list_at_once_is_seen_at_once() -> None:
    people = fresh.People.__new__(fresh.People)
    taken: list[tuple[str, str]] = []
    people.take = lambda user, item: taken.append((user, item))  # type: ignore[method-assign]
    people.listed = lambda user: ["b"]  # type: ignore[method-assign]
    assert people.pair("p", "a", "b") < fresh.PAIR_SECONDS
    assert len(taken) == 2 * fresh.TAKERS + 1
    assert taken[-1] == ("p-other-0", "a")


def test_a_new_item_is_shown_to_those_who_have_taken_others_of_its_theme() -> None:
    people = fresh.People.__new__(fresh.People)
    brought: dict[str, str] = {}
    taken: list[tuple[str, str]] = []
    people.describe = lambda item, title: brought.update({item: title})  # type: ignore[method-assign]
    people.take = lambda user, item: taken.append((user, item))  # type: ignore[method-assign]
    people.listed = lambda user: list(brought)  # type: ignore[method-assign]
    assert len(list(fresh.bring(people, 2, lambda _: None))) == 2
    assert len(brought) == fresh.ALIKE + 2
    assert all(title.startswith(fresh.THEME) for title in brought.values())
    assert [item for user, item in taken if user == "new-1-other-0"] == ["whale-0", "whale-1", "whale-2"]
