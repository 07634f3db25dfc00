"""Ends a demo at Ctrl-C, SIGTERM or SIGHUP, so that everything is cleaned up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Raises ``KeyboardInterrupt`` or ``SystemExit`` at the first signal, and ignores later signals.

    It raises at once, wherever the program is. The exception is the block of ``later``.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._later = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def later(self) -> Iterator[None]:
        """Raise only in ``check`` and at the end of the block.

        An exception in the middle of kafka-python's own loops would be swallowed there, or break them.
        """
        self._later = True
        try:
            yield
        finally:
            self._later = False
        self.check()

    def check(self) -> None:
        """Raise if a signal has come; only once for a signal."""
        number, self._number = self._number, None
        if number is not None:
            raise _meaning(number)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        self._number = number
        if not self._later:
            # Keep the number: if somebody swallows this exception, the next check raises again.
            raise _meaning(number)


def _meaning(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
