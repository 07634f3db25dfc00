from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from afresh.deploy.top.sources import Look
from afresh.deploy.top.watch import watch
from tests.deploy.top.making import event, made


class OverError(Exception):
    """All looks were looked at."""


def shown(terminal: bool, *looks: Look) -> str:
    output, left = StringIO(), list(looks)

    def check() -> None:
        if not left:
            raise OverError

    look: Callable[[], Look] = lambda: left.pop(0)  # noqa: E731 - it takes one after the other
    console = Console(file=output, force_terminal=terminal, width=200, height=50)
    with pytest.raises(OverError):
        watch("web:ann", look, console, check)
    return output.getvalue()


def test_on_a_pipe_each_event_each_list_and_each_remark_is_one_line() -> None:
    away = ("Kafka did not answer",)
    said = shown(
        False,
        Look("web:ann"),
        Look("web:ann", [event(1)], made(1, "alien")),
        Look("web:ann", [], made(1, "alien"), problems=away),
        Look("web:ann", [], made(1, "alien"), problems=away),
        Look("web:ann", [event(1), event(2, "alien")], made(2, "moon")),
    ).splitlines()
    assert [line.partition(" ")[0] for line in said] == ["note", "event", "list", "note", "event", "list"]
    assert said[3] == "note Kafka did not answer"
    assert said[4].endswith("e-2: 1. in list 1")
    assert "takes in e-2 after 24 ms" in said[5]


@pytest.mark.parametrize("terminal", [False, True])
def test_once_a_user_is_linked_to_another_that_one_is_shown(terminal: bool) -> None:
    said = shown(
        terminal,
        Look("web:ann", [event(1)], made(1, "alien")),
        Look("person-7", [event(2, "moon", user="person-7")], made(2, "moon")),
    )
    assert said.index("e-1") < said.index("web:ann is linked to person-7")
    assert "takes in e-2" in said
    after = said[said.index("person-7") :]
    assert "no list was seen before it" in after, "the list of the other user is none before this event"


def test_a_terminal_shows_one_screen_that_is_refreshed() -> None:
    said = shown(True, Look("web:ann"), Look("web:ann", [event(1)], made(1, "alien")))
    assert said.index("nothing is known of web:ann") < said.index("List 1, takes in e-1")
