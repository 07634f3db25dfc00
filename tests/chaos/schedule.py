"""Schedules say which fault comes when. The same seed always gives the same schedule."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from tests.chaos.faults import FAULTS

TOGETHER = 0.25
"""Share of steps with two faults at once."""

LONGEST_PAUSE_SECONDS = 8.0

SERVERS = frozenset({"broker", "redis"})


class Step(NamedTuple):
    """Faults that are injected together, after a pause with only the load."""

    pause_seconds: float
    faults: tuple[str, ...]


def short(seed: int, names: Sequence[str]) -> list[Step]:
    """Return every fault once, in a random order.

    Examples
    --------
    >>> sorted(step.faults for step in short(1, ["burst", "redis-down"]))
    [('burst',), ('redis-down',)]
    """
    chance = random.Random(seed)
    return [Step(chance.uniform(0.0, 1.0), (name,)) for name in chance.sample(sorted(names), len(names))]


def endless(seed: int, names: Sequence[str]) -> list[Step]:
    """Return more random steps than any trial has time for.

    Examples
    --------
    >>> endless(1, ["burst"])[0] == endless(1, ["burst"])[0]
    True
    >>> {step.faults for step in endless(1, ["redis-down", "workers-join-and-leave"]) if len(step.faults) > 1}
    {('workers-join-and-leave', 'redis-down')}
    >>> {step.faults for step in endless(1, ["burst", "model-workers-absent"]) if len(step.faults) > 1}
    set()
    """
    chance = random.Random(seed)
    return [_step(chance, sorted(names)) for _ in range(10_000)]


def _step(chance: random.Random, names: Sequence[str]) -> Step:
    first, second = chance.choice(names), chance.choice(names)
    fit = FAULTS[first].place != FAULTS[second].place and not (FAULTS[first].alone or FAULTS[second].alone)
    together = chance.random() < TOGETHER and fit
    pause = chance.uniform(0.0, LONGEST_PAUSE_SECONDS)
    faults = (first, second) if together else (first,)
    # Faults of servers come last: if one were down already, new workers would never be ready, and no text be encoded.
    return Step(pause, tuple(sorted(faults, key=lambda name: FAULTS[name].place in SERVERS)))
