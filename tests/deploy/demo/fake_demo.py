"""The command ``afresh demo`` on a dozen small films, with a stand-in for the workers.

Start it as ``fake_demo.py [OPTION ...]``. ``FAKE_DEMO_CRASH`` is the number of the event that kills the worker.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest.mock import patch

import typer

from afresh.deploy.datasets import movielens
from afresh.deploy.demo import command, workers
from tests.deploy.demo.making import event, item

EVENTS = 240
CATALOGUE = 40
USERS = 12


def data() -> movielens.Data:
    """Make a catalogue, and a dozen users who each take one film after the other."""
    films = [item(f"f{number}") for number in range(CATALOGUE)]
    taken = [event(number, f"u{number % USERS}", f"f{number // USERS}") for number in range(EVENTS)]
    crash = os.environ.get("FAKE_DEMO_CRASH")
    if crash:
        taken[int(crash)] = event(int(crash), "u0", "crash")
        films.append(item("crash"))
    return movielens.Data(films, taken)


if __name__ == "__main__":
    fake_worker = str(Path(__file__).with_name("fake_worker.py"))
    with (
        patch.object(workers, "COMMAND", (sys.executable, fake_worker)),
        patch.object(movielens, "load", data),
    ):
        typer.run(command.demo)
