"""live: shows the verdicts on the lists served as metrics."""

from __future__ import annotations

from afresh.state.judged.kept import Kept
from afresh.streams import metrics


class Live:
    """The newest verdicts and rollbacks, on the worker that learns the weights."""

    def __init__(self) -> None:
        self._drifts: dict[str, int] = {}
        self._rollbacks: int | None = None

    def see(self, kept: Kept) -> None:
        """Set the metrics, and count the drifts and rollbacks since the state before."""
        totals = kept.verdicts.totals()
        # What happened before the first state that we see was counted by the owner before us.
        if self._rollbacks is not None:
            for name, (_, drifts) in totals.items():
                metrics.DRIFT.labels(name).inc(drifts - self._drifts.get(name, 0))
            happened = kept.guard.rollbacks - self._rollbacks
            if happened and kept.guard.last is not None:
                metrics.ROLLBACKS.labels(kept.guard.last.cause).inc(happened)
        self._drifts = {name: drifts for name, (_, drifts) in totals.items()}
        self._rollbacks = kept.guard.rollbacks
        for name, by_ranking in kept.verdicts.rates().items():
            for ranking, rate in by_ranking.items():
                metrics.HIT_RATE.labels(name, ranking).set(rate.hit_rate)
                metrics.NDCG.labels(name, ranking).set(rate.ndcg)
        for name, (count, _) in totals.items():
            metrics.JUDGED.labels(name).set(count)
        metrics.UNJUDGED.set(kept.verdicts.unjudged)
        metrics.REFUSED_EXAMPLES.set(sum(source.refused for source in kept.sources.values()))

    def forget(self) -> None:
        """Take the gauges away: from now on another worker shows them."""
        for gauge in (metrics.HIT_RATE, metrics.NDCG, metrics.JUDGED):
            gauge.clear()
        metrics.UNJUDGED.set(0)
        metrics.REFUSED_EXAMPLES.set(0)
        self._drifts, self._rollbacks = {}, None
