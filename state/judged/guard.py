"""The guard's record: snapshots of the fusion that proved good, and when it went back to one.

One snapshot is the newest; the one before it, ``good``, has seen a whole period of lists go by without suspicion, and
is what a broken fusion goes back to. If the lists stay broken, what is broken is older than the snapshot or lies in a
scorer, and the weights start anew from popularity alone.
"""

from __future__ import annotations

import msgspec
import numpy as np

from afresh.models import scorers
from afresh.models.fusion import guard
from afresh.models.fusion.fusion import Fusion
from afresh.state.versions import known_layout

LEAST_JUDGED = 1000
"""Examples judged before a snapshot can count as good, however quiet the hours are."""


class WeightsSnapshot(msgspec.Struct, array_like=True):
    """The fusion at a moment.

    Attributes
    ----------
    time
        When, in ms.
    fusion
        State of the learner, weights and all that makes them move.
    rate
        Recent hit rate of the lists served.
    """

    time: int = 0
    fusion: bytes = b""
    rate: float = 0.0


class Rollback(msgspec.Struct, array_like=True):
    """The weights went back.

    Attributes
    ----------
    time
        When, in ms; the snapshot's time is in ``to``, 0 for popularity alone.
    cause
        ``guard`` or ``command``.
    to
        Time of the snapshot, in ms.
    """

    time: int
    cause: str
    to: int


class Guard(msgspec.Struct, array_like=True):
    """What the guard keeps for a partition.

    Attributes
    ----------
    newest, good
        Snapshots; ``fusion`` is empty where there is none yet.
    scorers
        Names of the scorers that the snapshots weigh.
    wealth
        Of ``models.fusion.guard``, float64.
    judged
        Examples judged since the newest snapshot.
    block
        Examples judged since the last block ended, hits of the list served, of popularity's only, of the served only.
    since
        Examples of the fusion at the last rollback: lists made before it say nothing about the weights now.
    on_trial
        Whether the weights went back and have not yet proved good.
    rollbacks, last
        Number of rollbacks, and the last.
    """

    newest: WeightsSnapshot = msgspec.field(default_factory=WeightsSnapshot)
    good: WeightsSnapshot = msgspec.field(default_factory=WeightsSnapshot)
    scorers: list[str] = []
    wealth: bytes = b""
    judged: int = 0
    block: tuple[int, int, int, int] = (0, 0, 0, 0)
    since: int = 0
    on_trial: bool = False
    rollbacks: int = 0
    last: Rollback | None = None

    def count_example(self, served: bool, popular: bool, made_at: int) -> None:
        """Count one example judged: whether each list held the item, and the fusion's examples when it was made."""
        if made_at >= self.since:
            judged, hits, lost, won = self.block
            self.block = (
                judged + 1,
                hits + served,
                lost + (popular and not served),
                won + (served and not popular),
            )

    def end_block(self, fusion: Fusion, rate: float, now: int, period_ms: int) -> Fusion:
        """Bet on the block; return the fusion to go on with.

        Parameters
        ----------
        fusion
            The fusion now.
        rate
            Its recent hit rate.
        now
            Time, in ms.
        period_ms
            Least time between two snapshots, in ms.
        """
        if self.scorers != list(scorers.NAMES):
            self._begin()
        block, self.block = self.block, (0, 0, 0, 0)
        self.judged += block[0]
        wealth = np.frombuffer(self.wealth).reshape(guard.start().shape)
        if self.good.fusion or self.on_trial:
            wealth = guard.bet(wealth, *block, past_rate=self.good.rate)
            self.wealth = wealth.tobytes()
        if guard.broken(wealth):
            return self.roll_back(fusion, now, "guard")
        due = now - self.newest.time >= period_ms and self.judged >= LEAST_JUDGED
        if due and not guard.suspicious(wealth):
            self._snapshot(fusion, rate, now)
        return fusion

    def _begin(self) -> None:
        """Forget snapshots of other scorers."""
        self.newest, self.good = WeightsSnapshot(), WeightsSnapshot()
        self.scorers, self.wealth = list(scorers.NAMES), guard.start().tobytes()
        self.judged, self.on_trial = 0, False

    def _snapshot(self, fusion: Fusion, rate: float, now: int) -> None:
        if self.newest.fusion:
            self.good = self.newest
        self.newest = WeightsSnapshot(now, fusion.to_bytes(), rate)
        self.judged, self.on_trial = 0, False

    def roll_back(self, fusion: Fusion, now: int, cause: str) -> Fusion:
        """Return the fusion of the last good snapshot, or that of popularity alone if it is on trial already.

        Raises
        ------
        RowVersionError
            When the snapshot can not be read.
        """
        if self.good.fusion and not self.on_trial:
            with known_layout("A snapshot of the weights"):
                to, restored = self.good.time, Fusion.from_bytes(self.good.fusion)
        else:
            to, restored = 0, Fusion.from_bytes(fusion.to_bytes())
            restored.restart(scorers.popularity_prior())
        restored.examples, restored.refused = fusion.examples, fusion.refused
        self.newest, self.on_trial, self.since, self.judged = self.good, True, fusion.examples, 0
        self.wealth = guard.start().tobytes()
        self.rollbacks += 1
        self.last = Rollback(now, cause, to)
        return restored
