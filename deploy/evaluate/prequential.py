"""The prequential loop: each event is first predicted, then learned."""

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
"""Told how many interactions are done."""


@dataclass(frozen=True)
class Ranking:
    """What a ranker served before each trial that is evaluated.

    Attributes
    ----------
    ranks
        Rank of the item taken, ties and NaN against it, -1 where it was not in the list; shape (E,).
    lists
        The lists, best first.
    scores
        Scores of their items.
    propensities
        Of their items; empty where nothing is explored.
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
        """Whether the interaction at this place of the log is a trial to be evaluated."""
        return self._places[place] >= self._first

    def add_trial(
        self,
        rank: int | None,
        items: Sequence[str],
        scores: Sequence[float],
        propensities: Sequence[float] = (),
    ) -> None:
        """Add the list served before the next trial, and the rank of the item taken; None for a miss."""
        self._ranks.append(evaluation.MISS if rank is None else rank)
        self._lists.append(items)
        self._scores.append(scores)
        self._propensities.append(propensities)

    def ranking(self) -> Ranking:
        """What was collected."""
        return Ranking(np.array(self._ranks, np.int64), self._lists, self._scores, self._propensities)


def run(
    engine: Engine, log: Log, trials: Trials, vectors: Vectors, refresh: int, done: Progress
) -> list[Ranking]:
    """Go through a log.

    Parameters
    ----------
    engine
        A new one.
    log, trials
        What to go through, and what of it to evaluate.
    vectors
        Embeddings of the items' texts.
    refresh
        Interactions taken in together; see ``Engine.take_in``.
    done
        Told how far it has come.

    Returns
    -------
    What each variant served.
    """
    recorders = [Recorder(trials) for _ in engine.variants]
    for block in blocks(log, refresh):
        if block.announcements:
            engine.announce([each.item for each in block.announcements], vectors)
        made = engine.take_in(block.interactions)
        for place, (interaction, lists) in enumerate(zip(block.interactions, made, strict=True), block.start):
            # no list where no item was taken
            for recorder, each in zip(recorders, lists, strict=False):
                if recorder.wants(place):
                    items, scores, propensities = _columns(each)
                    rank = evaluation.rank_in_list(items, scores, interaction.item)
                    recorder.add_trial(rank, items, scores, propensities)
        # An item that the feed does not know is known by the first event that names it.
        unknown = {each.item: each.domain for each in block.interactions if not engine.knows(each.item)}
        if unknown:
            engine.announce([Item(id=item, domain=domain) for item, domain in unknown.items()], vectors)
        done(block.start + len(block.interactions))
    return [recorder.ranking() for recorder in recorders]


def _columns(made: UserList) -> tuple[list[str], list[float], list[float]]:
    propensities = [item.propensity for item in made.items if item.propensity is not None]
    return [item.id for item in made.items], [item.score for item in made.items], propensities
