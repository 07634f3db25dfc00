"""Judges: the one place of a worker that holds what judges keep of its partitions."""

from __future__ import annotations

from collections.abc import Callable, Collection

from afresh.state.catalogue.catalogue import Known
from afresh.state.judged import kept
from afresh.state.judged.kept import Kept
from afresh.state.store.changes import PerAssignment
from afresh.streams.serving.judge import SNAPSHOT_MINUTES, Judge
from afresh.streams.serving.live import Live
from afresh.streams.serving.served import ServedLists
from afresh.streams.serving.users import Users
from afresh.streams.serving.weights import Weights


class Judges:
    """What judges keep, by partition, as it is safe in the rows.

    A judge works on a copy, as a run does on rows, and what it has learned counts for others once the rows are safe.

    Parameters
    ----------
    users
        Whose partitions' rows it stands in.
    served
        The lists served lately.
    known
        What the Catalogue knows of the item of a key.
    weights
        Who is told what was learned.
    snapshot_minutes
        Least time between two snapshots of the fusion.
    """

    def __init__(
        self,
        users: Users,
        served: ServedLists,
        known: Callable[[int], Known],
        weights: Weights,
        snapshot_minutes: float = SNAPSHOT_MINUTES,
    ) -> None:
        self._kept = PerAssignment(users, lambda partition: kept.unpack(users.judged(partition)))
        self._served = served
        self._known = known
        self._weights = weights
        self._snapshot_minutes = snapshot_minutes
        self._live = Live()

    def begin(self, partition: int) -> Judge:
        """Begin to judge what users of a partition take."""
        return Judge(self._kept[partition].copy(), self._served, self._known, self._snapshot_minutes)

    def keep(self, partition: int, now: Kept) -> None:
        """Keep what a judge has learned, whose rows are safe."""
        self._kept.replace(partition, now)
        self._weights.learn(partition, now.fusion)
        self._live.see(partition, now)

    def look_up(self, partition: int) -> None:
        """Have the weights of a partition that is ours, though nothing of it was judged yet."""
        if partition not in self._weights:
            self.keep(partition, self._kept[partition])

    def keep_only(self, partitions: Collection[int]) -> None:
        """Forget all other partitions."""
        self._weights.keep_only(partitions)
        self._live.keep_only(partitions)

    def report(self) -> None:
        """Show how lists are received, and the weights, as metrics."""
        self._live.report()
        self._weights.report()
