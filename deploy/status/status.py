"""What a look at a deployment finds."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np

from afresh.models import scorers
from afresh.state.judged import verdicts
from afresh.state.judged.guard import Rollback
from afresh.state.judged.kept import Kept
from afresh.state.judged.verdicts import Rate


class Member(msgspec.Struct, frozen=True):
    """A worker, as Kafka's group knows it.

    Attributes
    ----------
    name, host
        Its client's name, and where it connects from.
    partitions
        Partitions of interactions that it holds.
    """

    name: str
    host: str
    partitions: list[int]


class Judged(msgspec.Struct, frozen=True):
    """How lists are received: what the judges of all partitions keep, together.

    Attributes
    ----------
    examples, unjudged
        Items taken, and those of them that no list is judged by.
    rates
        Recent rates by slice and ranking.
    judged, drifts
        Examples ever judged in each slice, and times that its hit rate has drifted.
    weights
        Weight of each scorer, mean of partitions.
    rollbacks, last
        Times that the weights went back in some partition, and the last.
    on_trial
        Partitions whose weights went back and have not proved good yet.
    """

    examples: int = 0
    unjudged: int = 0
    rates: dict[str, dict[str, Rate]] = {}
    judged: dict[str, int] = {}
    drifts: dict[str, int] = {}
    weights: dict[str, float] = {}
    rollbacks: int = 0
    last: Rollback | None = None
    on_trial: list[int] = []


@dataclass(frozen=True)
class Status:
    """A look at a deployment.

    Attributes
    ----------
    waiting
        Records that no agent has taken in, by topic.
    workers
        Members of the workers' group.
    dead_letters
        Records in the dead-letter topic.
    lists
        Users' lists in Redis; None if it does not answer.
    ready
        What the metrics page of the worker on this machine says; None if there is none.
    judged
        How lists are received.
    """

    waiting: dict[str, int]
    workers: list[Member]
    dead_letters: int
    lists: int | None
    ready: str | None
    judged: Judged = field(default_factory=Judged)

    def as_json(self) -> bytes:
        """All of it as one line of JSON."""
        return msgspec.json.encode(self)


def judged_together(kept: dict[int, Kept]) -> Judged:
    """What the judges of partitions keep, together."""
    if not kept:
        return Judged()
    found = [each.verdicts for each in kept.values()]
    totals = verdicts.totals(found)
    weights = np.mean([each.fusion.by_scorer() for each in kept.values()], axis=0).tolist()
    happened = [each.guard.last for each in kept.values() if each.guard.last is not None]
    return Judged(
        examples=sum(each.fusion.examples for each in kept.values()),
        unjudged=sum(each.unjudged for each in found),
        rates=verdicts.rates(found),
        judged={name: count for name, (count, _) in totals.items()},
        drifts={name: drifts for name, (_, drifts) in totals.items() if drifts},
        weights=dict(zip(scorers.NAMES, weights, strict=True)),
        rollbacks=sum(each.guard.rollbacks for each in kept.values()),
        last=max(happened, key=lambda each: each.time, default=None),
        on_trial=[partition for partition, each in kept.items() if each.guard.on_trial],
    )
