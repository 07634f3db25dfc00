from __future__ import annotations

import msgspec
from rich.console import Console

from afresh.deploy.ledger.report import NAMED, LineTally, Report, report_table


def shown(report: Report) -> str:
    console = Console(width=150, force_terminal=False)
    with console.capture() as capture:
        console.print(report_table(report))
    return capture.get()


def test_the_first_differences_of_each_kind_are_shown_and_the_others_counted() -> None:
    report = Report()
    for number in range(NAMED + 2000):
        report.differ("users", f"number {number}")
    report.differ("lists", "one")
    report.tell_the_rest()
    assert report.differences == [
        *(f"users: number {number}" for number in range(NAMED)),
        "lists: one",
        "users: 2,000 more",
    ]


def test_the_table_shows_events_lines_rows_and_differences() -> None:
    report = Report()
    assert "lines of the file" not in shown(report)
    report.events.total = 12_345
    report.tally("users").expected = 99
    report.differ("users", "[red]the row of \x1b[2J")
    text = shown(report)
    rows = {line.split("│")[1].strip(): line for line in text.splitlines() if line.count("│") > 2}
    assert "12,345" in rows["total"]
    assert "99" in rows["users"]
    assert "[red]the row of" in text
    assert "\x1b" not in text
    report.file = LineTally(total=7)
    assert "lines of the file" in shown(report)


def test_the_report_is_json() -> None:
    report = Report(settled_seconds=1.5)
    report.tally("lists").wrong = 2
    report.differ("lists", "one is stale")
    read = msgspec.json.decode(report.as_json())
    assert read["tallies"]["lists"]["wrong"] == 2
    assert read["differences"] == ["lists: one is stale"]
    assert read["settled_seconds"] == 1.5
    assert read["file"] is None
    assert not any(name.startswith("_") for name in read)
