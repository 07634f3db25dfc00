from __future__ import annotations

import io

import pytest
from rich.console import Console

from afresh.deploy.demo.display import Display
from afresh.deploy.demo.scrape import Page
from afresh.deploy.servers.process import free_ports
from tests.deploy.demo.making import TITLES, notes_of_a_run


def display(console: Console) -> Display:
    return Display(console, "films", "Kafka 4 · Valkey 9", TITLES, notes_of_a_run(), Page(free_ports(1)[0]))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_gets_the_panel_and_anything_else_plain_lines(terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=108, _environ={})
    with display(console):
        pass
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "4 of 2,000 events" in text
    assert ("╭" in text) == terminal
    assert ("\x1b" in text) == terminal


def test_a_failed_demo_does_not_show_its_state_once_more() -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    with pytest.raises(RuntimeError), display(console):
        raise RuntimeError("the broker is gone")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


def test_after_the_end_the_rate_is_the_rate_of_the_whole_demo() -> None:
    shown = display(Console(file=io.StringIO()))
    progress = shown._notes.progress
    progress.end()
    assert shown.view().rate == progress.rate > 0
