"""live: shows the verdicts on the lists served as metrics."""

from __future__ import annotations

from collections.abc import Collection

from afresh.state.judged import verdicts
from afresh.state.judged.kept import Kept
from afresh.streams import metrics


class Live:
    """The newest state of the judges of this worker's partitions."""

    def __init__(self) -> None:
        self._kept: dict[int, Kept] = {}

    def see(self, partition: int, kept: Kept) -> None:
        """Take in the newest state of a judge, and count the drifts and rollbacks since the state before."""
        before = self._kept.get(partition)
        self._kept[partition] = kept
        if before is None:
            # The owner before us has already counted what happened in the partition.
            return
        past = dict(zip(before.verdicts.slices, before.verdicts.drifts.tolist(), strict=True))
        for name, drifts in zip(kept.verdicts.slices, kept.verdicts.drifts.tolist(), strict=True):
            metrics.DRIFT.labels(name).inc(drifts - past.get(name, 0))
        happened = kept.guard.rollbacks - before.guard.rollbacks
        if happened and kept.guard.last is not None:
            metrics.ROLLBACKS.labels(kept.guard.last.cause).inc(happened)

    def keep_only(self, partitions: Collection[int]) -> None:
        """Forget all other partitions."""
        self._kept = {p: each for p, each in self._kept.items() if p in partitions}

    def report(self) -> None:
        """Set the metrics of all verdicts."""
        judged = [each.verdicts for each in self._kept.values()]
        for name, by_ranking in verdicts.rates(judged).items():
            for ranking, rate in by_ranking.items():
                metrics.HIT_RATE.labels(name, ranking).set(rate.hit_rate)
                metrics.NDCG.labels(name, ranking).set(rate.ndcg)
        for name, (count, _) in verdicts.totals(judged).items():
            metrics.JUDGED.labels(name).set(count)
        metrics.UNJUDGED.set(sum(each.unjudged for each in judged))
