from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO

import pytest
from rich.console import Console

from afresh.deploy.status.status import Status
from afresh.deploy.status.watch import PAUSE_SECONDS, watch
from afresh.state.errors import UnavailableError


def waits(times: int) -> tuple[Callable[[float], None], list[float]]:
    """Wait so often, until Ctrl-C."""
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == times:
            raise KeyboardInterrupt

    return wait, waited


def looks() -> Iterator[Status]:
    yield Status({"t": 7}, [], 0, 1, "ready")
    raise UnavailableError("Kafka did not answer")


@pytest.mark.parametrize("terminal", [False, True])
def test_the_status_is_shown_again_until_ctrl_c_and_what_fails_is_shown_instead(terminal: bool) -> None:
    output, found = StringIO(), looks()
    console = Console(file=output, force_terminal=terminal, width=120, height=50)
    wait, waited = waits(2)
    watch(lambda: next(found), console, wait)
    said = output.getvalue()
    assert said.index("records waiting in t") < said.index("Kafka did not answer")
    assert waited == [PAUSE_SECONDS, PAUSE_SECONDS]
