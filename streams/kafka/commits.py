"""Commit ages: show how long runs wait to be committed, and so whether a partition is stuck, whatever the cause."""

from __future__ import annotations

import time
from collections.abc import Callable

from faust.types import TP

from afresh.streams import metrics


class CommitAges:
    """Time since the last commit of each partition that has uncommitted runs.

    Parameters
    ----------
    now
        Clock, monotonic, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._since: dict[TP, float] = {}
        self._shown: set[TP] = set()

    def delivered(self, tp: TP) -> None:
        """Note that a run waits to be committed; the age of its partition begins now unless another run waits."""
        self._since.setdefault(tp, self._now())

    def committed(self, tp: TP, more: bool) -> None:
        """Note that Kafka has acknowledged a commit; ``more`` says whether other runs of the partition still wait."""
        self.forget(tp)
        if more:
            self.delivered(tp)

    def forget(self, tp: TP) -> None:
        """Forget a partition that has no uncommitted runs, or that is no longer ours."""
        self._since.pop(tp, None)

    def report(self) -> None:
        """Set the metric of each partition's age; a partition without uncommitted runs has none."""
        since = dict(self._since)
        for tp in self._shown - since.keys():
            metrics.COMMIT_AGE.remove(tp.topic, str(tp.partition))
        for tp, begun in since.items():
            metrics.COMMIT_AGE.labels(tp.topic, str(tp.partition)).set(self._now() - begun)
        self._shown = set(since)
