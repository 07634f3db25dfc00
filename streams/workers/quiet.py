"""What is logged again and again is logged once in a while.

While a broker is down, every client of aiokafka says many times a second that it can not connect: a thousand lines a
second of a worker, which fill a disk and hide all others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

SECONDS = 10.0
"""How long the same message of the same logger stays away."""


class Seldom(logging.Filter):
    """Lets a message through once in ``SECONDS``, whatever it is filled in with.

    Parameters
    ----------
    name
        Of the loggers that it holds for, those below them included; others pass.
    clock
        Seconds, monotonic.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name)
        self._clock = clock
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is to be logged."""
        if not super().filter(record):
            return True
        now, what = self._clock(), (record.name, str(record.msg))
        if now - self._said.get(what, float("-inf")) < SECONDS:
            return False
        self._said[what] = now
        return True
