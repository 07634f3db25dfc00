"""Weighing: counts judged examples in the order of their log, and learns the weights from them.

Nobody else changes the weights, the verdicts, the guard and its snapshots. What they become depends on the order of the
examples alone, wherever records and runs end.
"""

from __future__ import annotations

import logging

import numpy as np

from afresh.state.judged.examples import (
    BROKEN,
    EXAMPLE,
    TAUGHT,
    UNJUDGED,
    JudgedExamples,
    lesson_of,
)
from afresh.state.judged.kept import Contribution, Kept, unpack_of_partition
from afresh.state.judged.verdicts import BLOCK, LIST_LENGTH

logger = logging.getLogger(__name__)

NOTHING = np.zeros(1, EXAMPLE)[0]
"""An example without anything to judge it by."""

SNAPSHOT_MINUTES = 10.0
MINUTE_MS = 60_000


class Weighing:
    """Counts judged examples.

    Parameters
    ----------
    kept
        What is kept; changed in place.
    snapshot_minutes
        Minimum time between two snapshots of the fusion, in minutes.
    """

    def __init__(self, kept: Kept, snapshot_minutes: float = SNAPSHOT_MINUTES) -> None:
        self.kept = kept
        self._period_ms = int(snapshot_minutes * MINUTE_MS)

    def take(self, record: JudgedExamples, after: int = -1) -> None:
        """Count the examples of a record whose offsets are above ``after``.

        Raises
        ------
        ValueError
            The record holds no examples.
        """
        new = record.places() > after
        if not record.of_our_scorers():
            # A worker with other scorers, in a rolling upgrade. What it says has no meaning here; the examples count.
            for _ in range(int(new.sum())):
                self._take(record, NOTHING)
            return
        for example in record.examples()[new]:
            self._take(record, example)

    def _take(self, record: JudgedExamples, example: np.void) -> None:
        kept, source = self.kept, self.kept.source(record.source)
        source.examples += 1
        kept.received = max(kept.received, int(example["received"]))
        became = int(example["became"])
        if became == UNJUDGED:
            kept.verdicts.unjudged += 1
        else:
            self._count(record, example)
        if became == TAUGHT:
            accepted = kept.fusion.learn(lesson_of(example, record.source))
        else:
            kept.fusion.skip()
            accepted = became != BROKEN
        if not accepted:
            self._refuse(record.source, source)
        if kept.fusion.examples % BLOCK == 0:
            self._end_block(kept.received)

    def _refuse(self, partition: int, source: Contribution) -> None:
        source.refused += 1
        # With every tenfold number, so that a broken worker does not fill the log.
        if str(source.refused).strip("0") == "1":
            logger.warning(
                "%d examples of partition %d are garbage and were not learned from: look at the log of the worker that "
                "holds the partition",
                source.refused,
                partition,
                extra={"partition": partition, "records": source.refused},
            )

    def _count(self, record: JudgedExamples, example: np.void) -> None:
        kept, ranks = self.kept, example["ranks"]
        hit, popular = (ranks[:2] < LIST_LENGTH).tolist()
        kept.guard.count_example(hit, popular, int(example["made_with"]))
        slices = kept.verdicts.slices_of(
            int(example["user_took"]),
            int(example["item_taken"]),
            record.domains[example["domain"]],
            record.platforms[example["platform"]],
        )
        kept.verdicts.count_example(ranks, slices)

    def _end_block(self, now: int) -> None:
        kept = self.kept
        rate = kept.verdicts.hit_rate()
        for name in kept.verdicts.end_block():
            logger.warning("The hit rate of the lists served has drifted (slice %s)", name)
        before = kept.guard.rollbacks
        kept.fusion = kept.guard.end_block(kept.fusion, rate, now, self._period_ms)
        if kept.guard.rollbacks > before:
            logger.warning(
                "The lists are worse than before and worse than the popular lists; the weights go back to a snapshot"
            )

    def roll_back(self, now: int) -> None:
        """Go back to the last good snapshot because an operator says so."""
        self.kept.fusion = self.kept.guard.roll_back(self.kept.fusion, now, "command")
        logger.warning("The weights go back to a snapshot: afresh rollback was called")

    def inherit(self, packed: bytes, partition: int) -> None:
        """Take over what an earlier version kept for a partition.

        Raises
        ------
        RowVersionError
            Its layout is not known.
        """
        self.kept.merge(unpack_of_partition(packed), partition)
