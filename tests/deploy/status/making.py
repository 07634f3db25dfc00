"""Makes states of judges, and the status of a deployment."""

from __future__ import annotations

import numpy as np

from afresh.deploy.status.status import Judged, Member, ModelStatus, Status
from afresh.models import scorers
from afresh.state.judged.guard import Guard
from afresh.state.judged.kept import Kept
from afresh.state.judged.verdicts import LIST_LENGTH, RANKINGS, Verdicts


def kept(hits: int, misses: int) -> Kept:
    judged = Verdicts()
    for number in range(hits + misses):
        ranks = np.full(len(RANKINGS), LIST_LENGTH)
        ranks[0] = 0 if number < hits else LIST_LENGTH
        judged.count_example(ranks, judged.slices_of(0, 0, "films", "web"))
    judged.unjudged = 3
    fusion = scorers.new_fusion()
    fusion.examples = hits + misses + 3
    return Kept(fusion, judged, Guard(), {})


def status(judged: Judged) -> Status:
    workers = [Member("afresh-1", "10.0.0.7", [0, 2])]
    model_workers = [Member("maker", "10.0.0.8", [0, 1]), Member("other", "10.0.0.9", [2])]
    model = ModelStatus(1_700_000_000_000, 12_345, 185.0, "worker", model_workers)
    return Status({"afresh.events": 1234}, workers, 5, 17, "ready", judged, model)
