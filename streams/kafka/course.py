"""The course of a process in its log: one line each for an assignment, a recovery, and the stop."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

from faust.types import TP

logger = logging.getLogger(__name__)

UNCOMMITTED = "runs that were taken in are not committed, and will be read again"


class Course:
    """Says what happens to a process, instead of the tens of lines that Faust has for it."""

    def __init__(self) -> None:
        self._partitions: set[int] = set()

    def assigned(self, ours: Iterable[TP]) -> None:
        """Say which partitions a process has, and which of them are new to it or gone.

        Parameters
        ----------
        ours
            Partitions of its sources; those of equal numbers belong together.
        """
        before, now = self._partitions, {tp.partition for tp in ours}
        self._partitions = now
        gained, lost = now - before, before - now
        logger.info(
            "Partitions assigned: %s; gained: %s; lost: %s",
            *map(_listed, (now, gained, lost)),
            extra={"partitions": sorted(now), "gained": sorted(gained), "lost": sorted(lost)},
        )

    def recovered(self, records: int, seconds: float) -> None:
        """Say how much a recovery has read, and how long it took."""
        logger.info(
            "Recovered %d records in %.1f s", records, seconds, extra={"records": records, "seconds": seconds}
        )

    def told_to_stop(self) -> None:
        """Say that a signal has told the process to stop."""
        logger.info("Told to stop: what is under way is finished and committed")

    def stopped(self, *, committed: bool) -> None:
        """Say that a process has ended in order, and whether all that it took in is committed."""
        logger.info("Stopped; %s", "everything taken in is committed" if committed else UNCOMMITTED)


def _listed(numbers: Collection[int]) -> str:
    """Return partitions in words.

    Examples
    --------
    >>> _listed({3, 0}), _listed(())
    ('0, 3', 'none')
    """
    return ", ".join(map(str, sorted(numbers))) or "none"
