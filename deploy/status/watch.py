"""Shows the status again and again, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from rich.console import Console, Group, RenderableType
from rich.live import Live

from afresh.deploy.status.status import Status
from afresh.deploy.status.view import tables
from afresh.deploy.terminal import plain
from afresh.state.errors import AfreshError

PAUSE_SECONDS = 2.0
"""Time between two looks. One takes some tenths of a second."""


def watch(look: Callable[[], Status], console: Console, sleep: Callable[[float], None] = time.sleep) -> None:
    """Show the status on one screen, or, where there is no terminal, one status after the other.

    Parameters
    ----------
    look
        Collects the status. What it raises, such as that Kafka does not answer, is shown instead.
    console
        Where to show it.
    sleep
        Waits for the next look.
    """
    with suppress(KeyboardInterrupt):
        if not console.is_terminal:
            while True:
                console.print(_screen(look))
                sleep(PAUSE_SECONDS)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_screen(look), refresh=True)
                sleep(PAUSE_SECONDS)


def _screen(look: Callable[[], Status]) -> RenderableType:
    try:
        return Group(*tables(look()))
    except AfreshError as error:
        return plain(str(error))
