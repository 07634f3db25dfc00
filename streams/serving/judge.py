"""judge: compares what users take with the lists served, and lets the fusion learn from it."""

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
        State that judges keep for the partition; changed in place.
    served
        Newest lists served.
    known
        Returns what the Catalogue knows about an item, given the item's key.
    snapshot_minutes
        Minimum time between two snapshots of the fusion, in minutes.
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
        """Judge one example.

        Parameters
        ----------
        interaction
            Interaction by which the user took the item.
        user_took
            Number of items that the user had taken before.
        unknown
            Whether nothing was known of the user before. The popular list is then the list served.
        """
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
        key = key_of(interaction.item)
        item = self._known(key)
        place = _place(served.candidates, item.index)
        ranks = _ranks(served, place, _place(served.listed, item.index), _place(served.popular, item.index))
        self.fusion.learn(served.features, served.situation, place, key, item.trust)
        hit, popular = (ranks[:2] < LIST_LENGTH).tolist()
        self.guard.count_example(hit, popular, served.made_at)
        slices = self.verdicts.slices_of(user_took, item.examples, interaction.domain, interaction.platform)
        self.verdicts.count_example(ranks, slices)

    def _end_block(self, now: int) -> None:
        rate = self.verdicts.hit_rate()
        for name in self.verdicts.end_block():
            logger.warning("The hit rate of the lists served has drifted (slice %s)", name)
        before = self.guard.rollbacks
        self.fusion = self.guard.end_block(self.fusion, rate, now, self._period_ms)
        if self.guard.rollbacks > before:
            logger.warning(
                "The lists are worse than before and worse than the popular lists; the weights go back to a snapshot"
            )

    @property
    def kept(self) -> Kept:
        """State to keep for the partition now."""
        return Kept(self.fusion, self.verdicts, self.guard)

    def roll_back(self, now: int) -> None:
        """Go back to the last good snapshot because an operator says so."""
        self.fusion = self.guard.roll_back(self.fusion, now, "command")
        logger.warning("The weights go back to a snapshot: afresh rollback was called")


def _place(indices: Indices, index: int) -> int | None:
    found = np.flatnonzero(indices == index)
    return int(found[0]) if index >= 0 and len(found) else None


def _ranks(served: ServedList, place: int | None, listed: int | None, popular: int | None) -> Integers:
    """Return the rank of the item taken in each of ``RANKINGS``; ``LIST_LENGTH`` or more is a miss.

    The ranking of a single scorer orders the candidates by the scorer's first feature. A candidate with the same score
    as the item taken ranks before it.
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
