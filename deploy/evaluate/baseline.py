"""Baselines: other recommenders in the same loop, each judged before the same events.

Ours stand one a file in ``deploy.evaluate.baselines``; a module of one's own is named by its whole name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import defaultdict
from typing import NamedTuple, Protocol

import numpy as np

from afresh.deploy.evaluate import baselines
from afresh.deploy.evaluate.log import Log
from afresh.deploy.evaluate.prequential import Progress, Ranking, Recorder
from afresh.deploy.evaluate.trials import Trials, blocks
from afresh.models.arrays import Mask, Reals
from afresh.models.lists import rank
from afresh.state.catalogue.growing import Growing
from afresh.state.errors import AfreshError
from afresh.state.records import POSITIVE, SEEN, Interaction

Scores = Reals
"""Scores of items by their numbers, shape (items,)."""


class Taken(NamedTuple):
    """An event in which a user took an item: their numbers, and when, in ms."""

    user: int
    item: int
    time: int


class Baseline(Protocol):
    """A recommender that learns event by event."""

    def learn(self, taken: Taken) -> None:
        """Learn from one event."""

    def scores(self, user: int, items: int, now: int) -> Scores:
        """Scores of the items known so far for a user, shape (items,); ``now`` is in ms.

        Items are numbered in the order in which they became known. What the user has had is left out by the caller.
        """


class Making(Protocol):
    """Makes a baseline for a stream of so many events; every module of a baseline has one, called ``make``."""

    def __call__(self, events: int) -> Baseline:
        """Make a new one."""


def find(name: str) -> Making:
    """Find a baseline: one of ours, or a module.

    Raises
    ------
    AfreshError
        If there is none of this name, or it needs what is not installed.
    """
    module = name if "." in name else f"{baselines.__name__}.{name}"
    try:
        made: Making = importlib.import_module(module).make
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "torch":
            raise AfreshError(f"the baseline {name!r} needs torch; install afresh[encoder]") from error
        ours = ", ".join(sorted(each.name for each in pkgutil.iter_modules(baselines.__path__)))
        raise AfreshError(
            f"there is no baseline {name!r} ({error}); there are {ours}; or name a module that has a function "
            "make(events)"
        ) from error
    return made


class _Items:
    """The catalogue that a baseline chooses from, by number."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._number: dict[str, int] = {}
        self._arrays = Growing(available=((), np.bool_, False))
        self._seen: defaultdict[str, set[int]] = defaultdict(set)

    def put_item(self, name: str, available: bool) -> None:
        """Take in an item."""
        if name not in self._number:
            self._number[name] = len(self.names)
            self.names.append(name)
            self._arrays.reach(len(self.names))
        self._arrays["available"][self._number[name]] = available

    def number(self, name: str) -> int | None:
        """Number of an item, if it is known."""
        return self._number.get(name)

    def have(self, user: str, item: int) -> None:
        """Note that a user has had an item."""
        self._seen[user].add(item)

    def candidates(self, user: str, keep_seen: bool) -> Mask:
        """Items that a list of the user may hold."""
        mask = self._arrays["available"].copy()
        if not keep_seen:
            mask[list(self._seen[user])] = False
        return mask


class BaselineRun:
    """Goes through a log with a baseline, event by event."""

    def __init__(self, baseline: Baseline, trials: Trials, size: int, *, keep_seen: bool) -> None:
        self._baseline = baseline
        self._recorder = Recorder(trials)
        self._users: dict[str, int] = {}
        self._items = _Items()
        self._size = size
        self._keep_seen = keep_seen

    def run(self, log: Log, done: Progress) -> Ranking:
        """Go through the log; ``done`` is told how far it has come."""
        for block in blocks(log, 1):
            for each in block.announcements:
                self._items.put_item(each.item.id, each.item.available)
            (interaction,) = block.interactions
            self._take_in(block.start, interaction)
            done(block.start + 1)
        return self._recorder.ranking()

    def _take_in(self, place: int, interaction: Interaction) -> None:
        user = self._users.setdefault(interaction.user, len(self._users))
        if interaction.type in POSITIVE and self._recorder.wants(place):
            self._judge(user, interaction)
        if self._items.number(interaction.item) is None:
            self._items.put_item(interaction.item, True)
        item = self._items.number(interaction.item)
        assert item is not None
        if interaction.type in POSITIVE:
            self._baseline.learn(Taken(user, item, interaction.time))
        if interaction.type in SEEN:
            self._items.have(interaction.user, item)

    def _judge(self, user: int, interaction: Interaction) -> None:
        candidates = self._items.candidates(interaction.user, self._keep_seen)
        scores = self._baseline.scores(user, len(candidates), interaction.time)
        best = rank.best(np.where(candidates, scores, -np.inf), self._size)
        taken = self._items.number(interaction.item)
        place_of = None if taken is None else rank.rank_of(scores, taken, candidates)
        names = [self._items.names[number] for number in best.tolist()]
        self._recorder.add_trial(place_of, names, scores[best].tolist())
