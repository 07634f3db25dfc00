"""Counts the progress of a demo: events sent, events answered, and the latency of each answer."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

RECENT = 2_000


class Progress:
    """Counts of a demo. The player writes them; the panel reads them from its own thread.

    Parameters
    ----------
    total
        Number of events to come.
    clock
        Monotonic clock, in seconds.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.total = total
        self.sent = 0
        self.answered = 0
        self.late = 0
        self._clock = clock
        self._latencies = np.zeros(total, dtype=np.float32)
        self._started = self._ended = float("nan")

    def start(self) -> None:
        """Start the clock: the first event is about to leave."""
        self._started = self._clock()

    def end(self) -> None:
        """Stop the clock: the last event has been answered."""
        self._ended = self._clock()

    def answer(self, seconds: float, late: bool) -> None:
        """Note that an event was answered after ``seconds`` or, if ``late``, given up after that time."""
        self._latencies[self.answered] = seconds
        self.answered += 1
        self.late += late

    @property
    def ended(self) -> bool:
        """Whether the last event has been answered."""
        return not np.isnan(self._ended)

    @property
    def seconds(self) -> float:
        """Seconds from the start until now, or until the end; 0 before the start."""
        now = self._ended if self.ended else self._clock()
        return 0.0 if np.isnan(self._started) else now - self._started

    @property
    def rate(self) -> float:
        """Events a second, from the start until now."""
        return self.sent / self.seconds if self.seconds else 0.0

    def latencies(self, last: int | None = None) -> tuple[float, float] | None:
        """Return p50 and p99 of the seconds from event to Redis, of the ``last`` answers or of all; ``None`` if none.

        An event given up counts with the time that the player waited for it. If more than 1 % are late, the p99 is
        therefore a lower bound.
        """
        start = 0 if last is None else max(0, self.answered - last)
        if not self.answered:
            return None
        p50, p99 = np.percentile(self._latencies[start : self.answered], [50, 99])
        return float(p50), float(p99)
