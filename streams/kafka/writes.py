"""Writes: tells whether Kafka took one a moment ago.

A heartbeat does not tell: whoever answers it writes nothing, and needs no replicas. A commit does: it is acknowledged
once enough replicas have it, as our rows are. A process at rest has nothing to commit, so it commits again what is
committed (``streams.kafka.app`` ``App.prove_writes``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

REST_SECONDS = 3.0
"""Time without a commit after which one is made to see whether Kafka takes it."""

PATIENCE_SECONDS = 10.0
"""Greatest age of a write that says something about now. While one broker of several restarts, most take less."""


class Writes:
    """When Kafka last acknowledged a commit, and which other writes wait.

    Parameters
    ----------
    now
        Clock, monotonic, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._taken = now()
        self._waiting: dict[object, float] = {}

    def taken(self) -> None:
        """Note that Kafka has acknowledged a commit, or what is as good as one."""
        self._taken = self._now()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Note that a write waits for Kafka as long as the block lasts."""
        write = object()
        self._waiting[write] = self._now()
        try:
            yield
        finally:
            del self._waiting[write]

    def age(self) -> float:
        """Return for how long Kafka has acknowledged nothing that waits, in seconds."""
        # A copy: the thread of the metrics page asks, too.
        return self._now() - min([self._taken, *self._waiting.copy().values()])

    def is_due(self) -> bool:
        """Whether the last commit is so old that it is time for another one."""
        return self._now() - self._taken >= REST_SECONDS

    def refusal(self, answers: bool) -> str:
        """Say why Kafka takes no writes; empty if it took one a moment ago.

        Parameters
        ----------
        answers
            Whether the coordinator of the group answers heartbeats.
        """
        age = self.age()
        if age <= PATIENCE_SECONDS:
            return ""
        why = "it acknowledges none, though it answers" if answers else "no coordinator of the group answers"
        return f"Kafka takes no writes: {why}, for {age:.0f} s"
