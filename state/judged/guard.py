"""The guard: watches the weights of the fusion, and takes them back to a snapshot that proved good.

The guard keeps two snapshots. The one before the newest is ``good``: lists were served for a whole period after it
without suspicion. A broken fusion goes back to it. If the lists stay broken, the fault is older than the snapshot or
lies in a scorer. Then the weights start anew from popularity alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from afresh.models import scorers
from afresh.models.fusion import guard
from afresh.models.fusion.fusion import Fusion
from afresh.state.versions import known_layout

LEAST_JUDGED = 1000
"""Number of examples that must be judged before a snapshot can count as good, however long that takes."""


class WeightsSnapshot(msgspec.Struct, array_like=True):
    """The fusion at one moment.

    Attributes
    ----------
    time
        Time of the snapshot, in ms.
    fusion
        Packed state of the fusion: the weights, and all that learning needs.
    rate
        Recent hit rate of the served lists.
    """

    time: int = 0
    fusion: bytes = b""
    rate: float = 0.0


class Rollback(msgspec.Struct, array_like=True):
    """A rollback of the weights.

    Attributes
    ----------
    time
        Time of the rollback, in ms.
    cause
        ``guard`` or ``command``.
    to
        Time of the snapshot that the weights went back to, in ms; 0 for popularity alone.
    """

    time: int
    cause: str
    to: int


class Guard(msgspec.Struct, array_like=True):
    """State of the guard.

    Attributes
    ----------
    newest, good
        The two snapshots; ``fusion`` is empty in a snapshot that was not taken yet.
    scorers
        Names of the scorers that the snapshots weigh.
    wealth
        Detectors of ``models.fusion.guard``, float64.
    judged
        Number of examples judged since the newest snapshot.
    block
        Counts since the last block ended: examples judged, hits of the served list, examples that only popularity's
        list hit, and examples that only the served list hit.
    since
        Version of the weights after the last rollback. Lists made with earlier ones say nothing about the weights now.
    on_trial
        Whether the weights went back and have not proved good since.
    rollbacks, last
        Number of rollbacks, and the last one.
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

    def count_example(self, served: bool, popular: bool, made_with: int) -> None:
        """Count one judged example.

        Parameters
        ----------
        served, popular
            Whether the served list, and popularity's list, held the item taken.
        made_with
            Version of the weights that the list was made with.
        """
        if made_with >= self.since:
            judged, hits, lost, won = self.block
            self.block = (
                judged + 1,
                hits + served,
                lost + (popular and not served),
                won + (served and not popular),
            )

    def end_block(self, fusion: Fusion, rate: float, now: int, period_ms: int) -> Fusion:
        """Bet on the block, and return the fusion to continue with.

        Parameters
        ----------
        fusion
            The present fusion.
        rate
            Recent hit rate of its lists.
        now
            Present time, in ms.
        period_ms
            Least time between two snapshots, in ms.

        Raises
        ------
        RowVersionError
            The fusion must go back, and the snapshot cannot be read.
        """
        if not self.scorers:
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
        self.scorers, self.wealth = list(scorers.NAMES), guard.start().tobytes()

    def carry(self) -> None:
        """Let snapshots of other scorers weigh ours, as ``models.scorers.carried`` says.

        Raises
        ------
        RowVersionError
            A snapshot cannot be read.
        """
        if self.scorers and self.scorers != list(scorers.NAMES):
            self.newest, self.good = _carried(self.newest, self.scorers), _carried(self.good, self.scorers)
            self.scorers = list(scorers.NAMES)

    def _snapshot(self, fusion: Fusion, rate: float, now: int) -> None:
        if self.newest.fusion:
            self.good = self.newest
        self.newest = WeightsSnapshot(now, fusion.to_bytes(), rate)
        self.judged, self.on_trial = 0, False

    def roll_back(self, fusion: Fusion, now: int, cause: str) -> Fusion:
        """Return the fusion of the good snapshot; of popularity alone if there is none or if it is on trial already.

        Parameters
        ----------
        fusion
            The present fusion; its counts and its version go on.
        now
            Present time, in ms.
        cause
            ``guard`` or ``command``.

        Raises
        ------
        RowVersionError
            The snapshot cannot be read.
        """
        if self.good.fusion and not self.on_trial:
            with known_layout("A snapshot of the weights"):
                to, restored = self.good.time, Fusion.from_bytes(self.good.fusion)
        else:
            to, restored = 0, Fusion.from_bytes(fusion.to_bytes())
            restored.restart(scorers.popularity_prior())
        restored.examples, restored.refused = fusion.examples, fusion.refused
        # Later than all versions before: a version never stands for two different weights.
        restored.version = fusion.version + 1
        self.newest, self.on_trial, self.since, self.judged = self.good, True, restored.version, 0
        self.wealth = guard.start().tobytes()
        self.rollbacks += 1
        self.last = Rollback(now, cause, to)
        return restored

    def merge(self, other: Guard) -> None:
        """Take in the guard of a partition: snapshots are merged as weights are, and detectors start anew."""
        if not self.scorers:
            self._begin()
        self.newest = _merged(self.newest, other.newest)
        self.good = _merged(self.good, other.good)
        self.on_trial |= other.on_trial
        self.rollbacks += other.rollbacks
        happened = [each for each in (self.last, other.last) if each is not None]
        self.last = max(happened, key=lambda each: each.time, default=None)


def _carried(snapshot: WeightsSnapshot, names: Sequence[str]) -> WeightsSnapshot:
    if not snapshot.fusion:
        return snapshot
    with known_layout("A snapshot of the weights"):
        fusion = scorers.carried(Fusion.from_bytes(snapshot.fusion), names)
    return WeightsSnapshot(snapshot.time, fusion.to_bytes(), snapshot.rate)


def _merged(one: WeightsSnapshot, other: WeightsSnapshot) -> WeightsSnapshot:
    if not (one.fusion and other.fusion):
        return one if one.fusion else other
    with known_layout("A snapshot of the weights"):
        together, added = Fusion.from_bytes(one.fusion), Fusion.from_bytes(other.fusion)
    together.merge(added)
    share = added.examples / max(together.examples, 1)
    rate = one.rate + (other.rate - one.rate) * share
    return WeightsSnapshot(max(one.time, other.time), together.to_bytes(), rate)
