"""judge: how the lists served were received, and what the fusion learns from it."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from afresh.models.arrays import Indices, Integers
from afresh.models.fusion import fusion
from afresh.state.catalogue.catalogue import Known
from afresh.state.judged.kept import Kept
from afresh.state.judged.verdicts import BLOCK, LIST_LENGTH, RANKINGS
from afresh.state.keys import key_of
from afresh.state.records import Interaction
from afresh.streams.serving.served import ServedList, ServedLists

logger = logging.getLogger(__name__)

SNAPSHOT_MINUTES = 10.0
MINUTE_MS = 60_000


class Judge:
    """Judges the examples of a part of a run.

    Parameters
    ----------
    kept
        What judges have kept of the partition; moved in place.
    served
        The lists served lately.
    known
        What the Catalogue knows of the item of a key.
    snapshot_minutes
        Least time between two snapshots of the fusion.
    """

    def __init__(
        self,
        kept: Kept,
        served: ServedLists,
        known: Callable[[int], Known],
        snapshot_minutes: float = SNAPSHOT_MINUTES,
    ) -> None:
        self.fusion, self.verdicts, self.guard = kept
        self._served = served
        self._known = known
        self._period_ms = int(snapshot_minutes * MINUTE_MS)

    def taken(self, interaction: Interaction, user_took: int, *, unknown: bool = False) -> None:
        """Judge one example: a user who had taken so many items before, or of whom nothing was known, took another."""
        lists = self._served
        served = lists.nobody.get(interaction.domain) if unknown else lists.of(interaction.user)
        if served is None:
            self.fusion.skip()
            self.verdicts.unjudged += 1
        else:
            self._judge(served, interaction, user_took)
        if self.fusion.examples % BLOCK == 0:
            self._end_block(interaction.received)

    def _judge(self, served: ServedList, interaction: Interaction, user_took: int) -> None:
        item = self._known(key_of(interaction.item))
        place = _place(served.candidates, item.index)
        ranks = _ranks(served, place, _place(served.listed, item.index), _place(served.popular, item.index))
        self.fusion.learn(served.features, served.situation, place, item.trust)
        hit, popular = (ranks[:2] < LIST_LENGTH).tolist()
        self.guard.count_example(hit, popular, served.made_at)
        slices = self.verdicts.slices_of(user_took, item.examples, interaction.domain, interaction.platform)
        self.verdicts.count_example(ranks, slices)

    def _end_block(self, now: int) -> None:
        rate = self.verdicts.hit_rate()
        for name in self.verdicts.end_block():
            logger.warning("The hit rate of the lists served has drifted (%s)", name)
        before = self.guard.rollbacks
        self.fusion = self.guard.end_block(self.fusion, rate, now, self._period_ms)
        if self.guard.rollbacks > before:
            logger.warning("The lists are worse than they were and than popularity's: the weights go back")

    @property
    def kept(self) -> Kept:
        """What is to be kept of the partition now."""
        return Kept(self.fusion, self.verdicts, self.guard)

    def roll_back(self, now: int) -> None:
        """Go back to the last good snapshot because a person says so."""
        self.fusion = self.guard.roll_back(self.fusion, now, "command")
        logger.warning("The weights go back: afresh rollback was called")


def _place(indices: Indices, index: int) -> int | None:
    found = np.flatnonzero(indices == index)
    return int(found[0]) if index >= 0 and len(found) else None


def _ranks(served: ServedList, place: int | None, listed: int | None, popular: int | None) -> Integers:
    """Rank of the item taken by each of ``RANKINGS``; ``LIST_LENGTH`` and more for a miss.

    A scorer alone ranks the candidates by its first feature, and one that scores as high as the item taken comes
    before it.
    """
    ranks = np.full(len(RANKINGS), LIST_LENGTH)
    if place is not None:
        alone = served.features[:, :: fusion.FEATURES_PER_SCORER]
        ranks[2:] = np.count_nonzero(~(alone < alone[place]), axis=0) - 1
    if listed is not None:
        ranks[0] = listed
    if popular is not None:
        ranks[1] = popular
    return ranks
