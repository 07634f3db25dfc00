"""Log filter that limits repeated messages.

While a broker is down, every aiokafka client logs many times a second that it cannot connect. A worker would log a
thousand lines a second, which fill a disk and hide all other lines.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

SECONDS = 10.0
"""Shortest time between two equal messages of the same logger, in seconds."""


class Seldom(logging.Filter):
    """Lets each message through once in ``SECONDS``; the arguments of a message do not matter.

    Parameters
    ----------
    name
        Name of the logger that is limited, with all loggers below it. Messages of other loggers pass.
    clock
        Clock, monotonic, in seconds.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name)
        self._clock = clock
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a record."""
        if not super().filter(record):
            return True
        now, what = self._clock(), (record.name, str(record.msg))
        if now - self._said.get(what, float("-inf")) < SECONDS:
            return False
        self._said[what] = now
        return True
