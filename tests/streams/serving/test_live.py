from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from afresh.models import scorers
from afresh.state.judged.guard import Guard, Rollback
from afresh.state.judged.kept import Kept
from afresh.state.judged.verdicts import LIST_LENGTH, RANKINGS, Verdicts
from afresh.streams.serving.live import Live


def kept(served: list[int], popular: list[int], domain: str = "films") -> Kept:
    judged = Verdicts()
    for ranks in zip(served, popular, strict=True):
        padded = np.array([*ranks, *[LIST_LENGTH] * (len(RANKINGS) - 2)])
        judged.count_example(padded, judged.slices_of(0, 0, domain, "web"))
    return Kept(scorers.new_fusion(), judged, Guard(), {})


def shown(name: str, **labels: str) -> Any:
    return REGISTRY.get_sample_value(name, labels)


def test_the_verdicts_are_shown_until_another_worker_shows_them() -> None:
    live, seen = Live(), kept([0, *[LIST_LENGTH] * 3], [LIST_LENGTH, 0, 0, 2])
    seen.source(3).refused = 2
    live.see(seen)
    assert shown("afresh_hit_rate_10", slice="all", ranking="served") == 0.25
    assert shown("afresh_ndcg_10", slice="all", ranking="popularity") == pytest.approx(2.5 / 4)
    assert shown("afresh_hit_rate_10", slice="domain:films", ranking=scorers.NAMES[0]) == 0.0
    assert shown("afresh_judged_examples", slice="all") == 4
    assert shown("afresh_unjudged_examples") == 0
    assert shown("afresh_refused_examples") == 2
    live.forget()
    assert shown("afresh_hit_rate_10", slice="all", ranking="served") is None
    assert shown("afresh_judged_examples", slice="all") is None


def test_drifts_and_rollbacks_count_once_and_only_if_seen_by_this_worker() -> None:
    def counted() -> tuple[float, float]:
        return (
            shown("afresh_drift_total", slice="all") or 0.0,
            shown("afresh_rollbacks_total", cause="guard") or 0.0,
        )

    live, before = Live(), counted()
    first = kept([0], [0])
    first.verdicts.drifts[0], first.guard.rollbacks = 5, 2
    live.see(first)
    assert counted() == before
    second = kept([0], [0])
    second.verdicts.drifts[0], second.guard.rollbacks, second.guard.last = 7, 3, Rollback(1, "guard", 0)
    for _ in range(2):
        live.see(second)
    assert counted() == (before[0] + 2, before[1] + 1)
    live.forget()
    live.see(first)
    assert counted() == (before[0] + 2, before[1] + 1)
