"""The status of a deployment."""

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
    """A worker, as a member of its consumer group in Kafka.

    Attributes
    ----------
    name, host
        Its client id, and the host that it connects from.
    partitions
        Partitions of interactions that it holds.
    """

    name: str
    host: str
    partitions: list[int]


class Judged(msgspec.Struct, frozen=True):
    """Accuracy of the lists: the states of the judges of all partitions, combined.

    Attributes
    ----------
    examples
        Items taken.
    unjudged
        Items taken that no list was judged by.
    rates
        Recent rates by slice and ranking.
    judged, drifts
        Number of examples ever judged in each slice, and how often the slice's hit rate has drifted.
    weights
        Weight of each scorer, as the mean over partitions.
    rollbacks, last
        How often the weights of a partition went back, and the last time that they did.
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
    """The status of a deployment at one moment.

    Attributes
    ----------
    waiting
        Number of records that no agent has taken in and committed, by topic.
    workers
        Members of the workers' group; None if the broker does not tell.
    dead_letters
        Number of records in the dead-letter topic.
    lists
        Number of users' lists in Redis; None if Redis does not answer.
    ready
        What the worker on this machine says on its page ``/ready``; None if there is no such page.
    judged
        Accuracy of the lists.
    """

    waiting: dict[str, int]
    workers: list[Member] | None
    dead_letters: int
    lists: int | None
    ready: str | None
    judged: Judged = field(default_factory=Judged)

    def as_json(self) -> bytes:
        """Return the status as one line of JSON."""
        return msgspec.json.encode(self)


def judged_together(kept: dict[int, Kept]) -> Judged:
    """Combine the states of the judges of all partitions."""
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
