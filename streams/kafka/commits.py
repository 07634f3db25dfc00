"""How long runs wait to be committed: what shows that a partition is stuck, whatever the cause."""

from __future__ import annotations

import time
from collections.abc import Callable

from faust.types import TP

from afresh.streams import metrics


class CommitAges:
    """Since when each partition was committed last, of those of which runs wait to be.

    Parameters
    ----------
    now
        Clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._since: dict[TP, float] = {}
        self._shown: set[TP] = set()

    def delivered(self, tp: TP) -> None:
        """Note that a run waits; a partition of which none did begins to age now."""
        self._since.setdefault(tp, self._now())

    def committed(self, tp: TP, more: bool) -> None:
        """Note that Kafka has acknowledged a commit; ``more`` says whether other runs of the partition wait."""
        self.forget(tp)
        if more:
            self.delivered(tp)

    def forget(self, tp: TP) -> None:
        """Forget a partition: nothing of it waits, or it has left."""
        self._since.pop(tp, None)

    def report(self) -> None:
        """Show the ages now; a partition of which nothing waits has none."""
        since = dict(self._since)
        for tp in self._shown - since.keys():
            metrics.COMMIT_AGE.remove(tp.topic, str(tp.partition))
        for tp, begun in since.items():
            metrics.COMMIT_AGE.labels(tp.topic, str(tp.partition)).set(self._now() - begun)
        self._shown = set(since)
