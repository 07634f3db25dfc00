"""A worker whose faults are turned on by signals: ``python -m tests.kafka.faulty_worker``.

At ``SPOIL`` all scorers give garbage, as after a bad release. At ``BREAK_AND_FORGET`` one scorer gives NaN, and events
of one platform are left without an outcome. What counts as a good past is shorter than usual, as alerts are.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from afresh.models import scorers
from afresh.models.arrays import Floats, Indices
from afresh.models.retrieval import asking
from afresh.models.scorers.base import Scorer
from afresh.state.judged import guard
from afresh.streams.settings import Settings
from afresh.streams.stages.ingest import Ingest, IngestPart
from afresh.streams.workers.loops import use_uvloop
from afresh.streams.workers.process import execute
from afresh.streams.workers.stream import Worker

JUDGED = 100
"""Examples that must be judged before a snapshot counts as good."""

FORGOTTEN = "forgotten"
"""Platform whose events have no outcome."""

monkeypatch = pytest.MonkeyPatch()

DRAW = np.random.default_rng(1)

SPOIL, BREAK_AND_FORGET = signal.SIGRTMIN + 1, signal.SIGRTMIN + 2
"""Not SIGUSR1 and 2: at those, Faust shows what each thread does, and opens a debugger."""

genuine = Ingest.written


def garbage(scorer: Scorer) -> Scorer:
    """Return a scorer that gives numbers of all magnitudes."""

    def score(_: asking.Asked, chosen: Indices) -> Floats:
        return np.exp(5 * DRAW.standard_normal((len(scorer.priors), len(chosen)), np.float32))

    return replace(scorer, score=score, fill=None)


def broken(scorer: Scorer) -> Scorer:
    """Return a scorer that gives NaN."""
    return replace(
        scorer,
        score=lambda _, chosen: np.full((len(scorer.priors), len(chosen)), np.nan, np.float32),
        fill=None,
    )


def forgetting(stage: Ingest, part: IngestPart) -> None:
    """Count outcomes, but not those of one platform."""
    for outcome in [each for each in part.outcomes if each[1] == FORGOTTEN]:
        del part.outcomes[outcome]
    genuine(stage, part)


def replace_scorers(others: Iterable[Scorer]) -> None:
    """Score with others from now on."""
    monkeypatch.setattr(scorers, "SCORERS", tuple(others))


def spoil(*_: object) -> None:
    """Let all scorers give garbage."""
    replace_scorers(map(garbage, scorers.SCORERS))


def break_and_forget(*_: object) -> None:
    """Let the first scorer give NaN, and leave events without an outcome."""
    first, *others = scorers.SCORERS
    replace_scorers([broken(first), *others])
    monkeypatch.setattr(Ingest, "written", forgetting)


if __name__ == "__main__":
    guard.LEAST_JUDGED = JUDGED
    signal.signal(SPOIL, spoil)
    signal.signal(BREAK_AND_FORGET, break_and_forget)
    use_uvloop()
    settings = Settings()
    worker = Worker(settings)
    execute(worker.app, settings, settings.metrics_port, worker.not_ready)
