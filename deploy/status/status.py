"""The status of a deployment."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from afresh.models import scorers
from afresh.state.judged.guard import Rollback
from afresh.state.judged.kept import Kept
from afresh.state.judged.verdicts import Rate
from afresh.streams.settings import INLINE


class Member(msgspec.Struct, frozen=True):
    """A worker or a model worker, as a member of its consumer group in Kafka.

    Attributes
    ----------
    name, host
        Its client id, and the host that it connects from.
    partitions
        Partitions that it holds: of interactions, or, if it is a model worker, of the lease.
    """

    name: str
    host: str
    partitions: list[int]


class ModelStatus(msgspec.Struct, frozen=True):
    """The model that stands, which relates all items, and who makes it.

    Attributes
    ----------
    version
        The version: the time at which it was begun, in ms. 0 if nobody has made one yet; None while the next one is
        being told, and hides it.
    items
        Number of items that it relates.
    age_seconds
        Time since it was begun.
    made_by
        Who is to make it, as the settings of whoever looks have it; see ``AFRESH_MODEL``.
    workers
        Members of the group of model workers; the one that holds the first partition makes the model. None if the
        broker does not tell.
    """

    version: int | None = 0
    items: int = 0
    age_seconds: float = 0.0
    made_by: str = INLINE
    workers: list[Member] | None = None


class Judged(msgspec.Struct, frozen=True):
    """Accuracy of the lists, and the weights that they are made with.

    Attributes
    ----------
    examples
        Items taken.
    unjudged
        Items taken that no list was judged by.
    refused
        Examples that were not learned from because they are garbage, by the partition that they came from.
    rates
        Recent rates by slice and ranking.
    judged, drifts
        Number of examples ever judged in each slice, and how often the slice's hit rate has drifted.
    version, weights
        Version of the weights, and the weight of each scorer.
    rollbacks, last
        How often the weights went back, and the last time that they did.
    on_trial
        Whether the weights went back and have not proved good yet.
    """

    examples: int = 0
    unjudged: int = 0
    refused: dict[int, int] = {}
    rates: dict[str, dict[str, Rate]] = {}
    judged: dict[str, int] = {}
    drifts: dict[str, int] = {}
    version: int = 0
    weights: dict[str, float] = {}
    rollbacks: int = 0
    last: Rollback | None = None
    on_trial: bool = False


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
    model
        The model that stands.
    """

    waiting: dict[str, int]
    workers: list[Member] | None
    dead_letters: int
    lists: int | None
    ready: str | None
    judged: Judged = field(default_factory=Judged)
    model: ModelStatus = field(default_factory=ModelStatus)

    def as_json(self) -> bytes:
        """Return the status as one line of JSON."""
        return msgspec.json.encode(self)


def judged_by(kept: Kept | None) -> Judged:
    """Say how accurate the lists are, from what is kept by whoever learns the weights; None before that."""
    if kept is None:
        return Judged()
    totals, weights = kept.verdicts.totals(), kept.fusion.weights()
    return Judged(
        examples=kept.fusion.examples,
        unjudged=kept.verdicts.unjudged,
        refused={partition: each.refused for partition, each in kept.sources.items() if each.refused},
        rates=kept.verdicts.rates(),
        judged={name: count for name, (count, _) in totals.items()},
        drifts={name: drifts for name, (_, drifts) in totals.items() if drifts},
        version=weights.version,
        weights=dict(zip(scorers.NAMES, weights.by_scorer().tolist(), strict=True)),
        rollbacks=kept.guard.rollbacks,
        last=kept.guard.last,
        on_trial=kept.guard.on_trial,
    )
