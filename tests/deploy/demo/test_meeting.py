from __future__ import annotations

import io

from rich.console import Console

from afresh.deploy.demo.linker import Meeting
from afresh.deploy.demo.meeting import meeting

TITLES = {"a": "Fargo", "b": "Alien [1979]", "c": "Heat"}


def drawn(now: Meeting | None) -> str:
    console = Console(file=io.StringIO(), width=100, _environ={})
    console.print(meeting(now, TITLES))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_nothing_is_drawn_before_the_first_link() -> None:
    assert drawn(None).strip() == ""


def test_the_lists_before_and_after_a_link_stand_side_by_side() -> None:
    text = drawn(Meeting(("web:ann", "app:7"), (("a", "b"), ()), ("b", "unknown"), 0.0931))
    assert "93 ms later" in text
    assert [line.split() for line in text.splitlines() if "Fargo" in line or "unknown" in line] == [
        ["Fargo", "Alien", "[1979]"],
        ["Alien", "[1979]", "unknown"],
    ]
