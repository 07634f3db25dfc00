"""Judges: holds the judges' state of all partitions of a worker."""

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
    """The judges' state of each partition, as written in the partition rows.

    A judge works on a copy, just as a run works on copies of rows. Others see what it has learned once Kafka has
    acknowledged the rows.

    Parameters
    ----------
    users
        Users of this worker. Their partition rows hold the state.
    served
        Newest lists served.
    known
        Returns what the Catalogue knows about an item, given the item's key.
    weights
        Receives the fusion of a partition whenever it has learned.
    snapshot_minutes
        Minimum time between two snapshots of the fusion, in minutes.
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
        """Make a judge that works on a copy of a partition's state."""
        return Judge(self._kept[partition].copy(), self._served, self._known, self._snapshot_minutes)

    def keep(self, partition: int, now: Kept) -> None:
        """Keep the state of a judge whose rows Kafka has acknowledged."""
        self._kept.replace(partition, now)
        self._weights.learn(partition, now.fusion)
        self._live.see(partition, now)

    def look_up(self, partition: int) -> None:
        """Load the weights of a partition of ours in which nothing was judged yet."""
        if partition not in self._weights:
            self.keep(partition, self._kept[partition])

    def keep_only(self, partitions: Collection[int]) -> None:
        """Forget all other partitions."""
        self._weights.keep_only(partitions)
        self._live.keep_only(partitions)

    def report(self) -> None:
        """Set the metrics of the verdicts and of the weights."""
        self._live.report()
        self._weights.report()
