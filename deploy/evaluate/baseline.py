"""Baselines: other recommenders in the same prequential loop, measured before the same events.

The baselines of this project are in ``deploy.evaluate.baselines``, one file each. Name a module of your own by its
full dotted name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from afresh.deploy.evaluate import baselines
from afresh.deploy.evaluate.log import Log
from afresh.deploy.evaluate.prequential import Progress, Ranking, Recorder
from afresh.deploy.evaluate.trials import Trials, blocks
from afresh.models.arrays import Halves, Mask, Reals
from afresh.models.lists import rank
from afresh.state.catalogue.growing import Growing
from afresh.state.errors import AfreshError
from afresh.state.records import POSITIVE, SEEN, Interaction
from afresh.streams.messages import Item

Scores = Reals
"""Scores of all items, by item number; shape (items,)."""


class Taken(NamedTuple):
    """An event in which a user took an item: number of the user, number of the item, and time in ms."""

    user: int
    item: int
    time: int


class Baseline(Protocol):
    """A recommender that learns event by event."""

    def learn(self, taken: Taken) -> None:
        """Learn from one event."""

    def scores(self, user: int, items: int, now: int) -> Scores:
        """Score the items known so far for a user, shape (items,); ``now`` is in ms.

        Items are numbered in the order in which they became known. The caller leaves out what the user has had.
        """


@runtime_checkable
class TextBaseline(Baseline, Protocol):
    """A baseline that also learns from what items say."""

    def read(self, item: int, text: Halves) -> None:
        """Take in the embedding of an item's text, shape (e,), when the item becomes known."""


VectorOf = Callable[[Item], Halves | None]
"""Says the embedding of an item's text; None if it has none."""


class Making(Protocol):
    """Makes a baseline. Every module of a baseline has such a function, called ``make``."""

    def __call__(self, events: int) -> Baseline:
        """Make a new baseline for a stream of ``events`` events."""


def find(name: str) -> Making:
    """Find a baseline by its short name, or by the dotted name of a module.

    Raises
    ------
    AfreshError
        If no baseline has this name, or a package that it needs is not installed.
    """
    module = name if "." in name else f"{baselines.__name__}.{name}"
    try:
        made: Making = importlib.import_module(module).make
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "torch":
            raise AfreshError(f"the baseline {name!r} needs torch; install afresh[encoder]") from error
        ours = ", ".join(sorted(each.name for each in pkgutil.iter_modules(baselines.__path__)))
        raise AfreshError(
            f"there is no baseline {name!r} ({error}); choose one of {ours}, or name a module that has a function "
            "make(events)"
        ) from error
    return made


class _Items:
    """The items that a baseline chooses from, by number, and what each user has had."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._number: dict[str, int] = {}
        self._arrays = Growing(available=((), np.bool_, False))
        self._seen: defaultdict[str, set[int]] = defaultdict(set)

    def put_item(self, name: str, available: bool) -> None:
        """Add an item, or update whether it is available."""
        if name not in self._number:
            self._number[name] = len(self.names)
            self.names.append(name)
            self._arrays.reach(len(self.names))
        self._arrays["available"][self._number[name]] = available

    def number(self, name: str) -> int | None:
        """Return the number of an item, or None if the item is unknown."""
        return self._number.get(name)

    def have(self, user: str, item: int) -> None:
        """Record that a user has had an item."""
        self._seen[user].add(item)

    def candidates(self, user: str, keep_seen: bool) -> Mask:
        """Return a mask of the items that a list of the user may hold, shape (items,)."""
        mask = self._arrays["available"].copy()
        if not keep_seen:
            mask[list(self._seen[user])] = False
        return mask


class BaselineRun:
    """Runs a baseline over a log, event by event."""

    def __init__(
        self,
        baseline: Baseline,
        trials: Trials,
        size: int,
        *,
        keep_seen: bool,
        vector_of: VectorOf = lambda _: None,
    ) -> None:
        self._baseline = baseline
        self._vector_of = vector_of
        self._recorder = Recorder(trials)
        self._users: dict[str, int] = {}
        self._items = _Items()
        self._size = size
        self._keep_seen = keep_seen

    def run(self, log: Log, done: Progress) -> Ranking:
        """Run over the log; ``done`` is called with the number of interactions done so far."""
        for block in blocks(log, 1):
            for each in block.announcements:
                self._announce(each.item)
            (interaction,) = block.interactions
            self._take_in(block.start, interaction)
            done(block.start + 1)
        return self._recorder.ranking()

    def _announce(self, item: Item) -> None:
        self._items.put_item(item.id, item.available)
        # Asked first: most baselines read nothing, and finding a vector means hashing the text.
        if isinstance(self._baseline, TextBaseline):
            number, text = self._items.number(item.id), self._vector_of(item)
            if number is not None and text is not None:
                self._baseline.read(number, text)

    def _take_in(self, position: int, interaction: Interaction) -> None:
        user = self._users.setdefault(interaction.user, len(self._users))
        if interaction.type in POSITIVE and self._recorder.wants(position):
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
        rank_taken = None if taken is None else rank.rank_of(scores, taken, candidates)
        names = [self._items.names[number] for number in best.tolist()]
        self._recorder.add_trial(rank_taken, names, scores[best].tolist())
