"""The prequential loop: predict each event first, then learn it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from afresh.deploy.evaluate.embeddings import Vectors
from afresh.deploy.evaluate.engine import Engine
from afresh.deploy.evaluate.log import Log
from afresh.deploy.evaluate.trials import Trials, blocks
from afresh.models.metrics import evaluation
from afresh.state.lists import UserList
from afresh.streams.messages import Item

Progress = Callable[[int], None]
"""Callback that gets the number of interactions done so far."""


@dataclass(frozen=True)
class Ranking:
    """What a ranker served before each of the E evaluated trials.

    Attributes
    ----------
    ranks
        Rank of the item taken, shape (E,); -1 if it was not in the list. Ties and NaN count against it.
    lists
        Item ids of each list, best first.
    scores
        Scores of the items of each list.
    propensities
        Propensities of the items of each list; empty where nothing is explored.
    """

    ranks: evaluation.Ranks
    lists: list[Sequence[str]]
    scores: list[Sequence[float]]
    propensities: list[Sequence[float]]


class Recorder:
    """Collects a ranking, list by list."""

    def __init__(self, trials: Trials) -> None:
        self._first = trials.first
        self._places = {place: trial for trial, place in enumerate(trials.places.tolist())}
        self._ranks: list[int] = []
        self._lists: list[Sequence[str]] = []
        self._scores: list[Sequence[float]] = []
        self._propensities: list[Sequence[float]] = []

    def wants(self, place: int) -> bool:
        """Tell whether the interaction at this position of the log is a trial to evaluate."""
        return self._places[place] >= self._first

    def add_trial(
        self,
        rank: int | None,
        items: Sequence[str],
        scores: Sequence[float],
        propensities: Sequence[float] = (),
    ) -> None:
        """Add the list served before the next trial, and the rank of the item taken (None for a miss)."""
        self._ranks.append(evaluation.MISS if rank is None else rank)
        self._lists.append(items)
        self._scores.append(scores)
        self._propensities.append(propensities)

    def ranking(self) -> Ranking:
        """Return the ranking collected so far."""
        return Ranking(np.array(self._ranks, np.int64), self._lists, self._scores, self._propensities)


def run(
    engine: Engine, log: Log, trials: Trials, vectors: Vectors, refresh: int, done: Progress
) -> list[Ranking]:
    """Run the engine over a log.

    Parameters
    ----------
    engine
        An engine that has taken in nothing yet.
    log
        The log to go through.
    trials
        The trials of the log, and which of them to evaluate.
    vectors
        Embeddings of the items' texts.
    refresh
        Interactions taken in together; see ``Engine.take_in``.
    done
        Called with the number of interactions done so far.

    Returns
    -------
    What each variant served.
    """
    recorders = [Recorder(trials) for _ in engine.variants]
    for block in blocks(log, refresh):
        if block.announcements:
            engine.announce([each.item for each in block.announcements], vectors)
        engine.link(block.links)
        made = engine.take_in(block.interactions)
        for place, (interaction, lists) in enumerate(zip(block.interactions, made, strict=True), block.start):
            # Not strict: an interaction that took no item has no lists.
            for recorder, each in zip(recorders, lists, strict=False):
                if recorder.wants(place):
                    items, scores, propensities = _columns(each)
                    rank = evaluation.rank_in_list(items, scores, interaction.item)
                    recorder.add_trial(rank, items, scores, propensities)
        # The feed may lack an item. Then the item becomes known with the first event that names it.
        unknown = {each.item: each.domain for each in block.interactions if not engine.knows(each.item)}
        if unknown:
            engine.announce([Item(id=item, domain=domain) for item, domain in unknown.items()], vectors)
        done(block.start + len(block.interactions))
    return [recorder.ranking() for recorder in recorders]


def _columns(made: UserList) -> tuple[list[str], list[float], list[float]]:
    propensities = [item.propensity for item in made.items if item.propensity is not None]
    return [item.id for item in made.items], [item.score for item in made.items], propensities
