"""judge: how the lists served were received, and what the fusion learns from it.

Kept in the partition row of the user table, so that every example counts exactly once.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from afresh.models import scorers
from afresh.models.fusion import fusion
from afresh.models.fusion.fusion import Fusion
from afresh.state.catalogue.catalogue import Known
from afresh.state.judged.guard import Guard
from afresh.state.judged.verdicts import BLOCK, LIST_LENGTH, RANKINGS, Verdicts, VerdictsRow
from afresh.state.keys import key_of
from afresh.state.lists import PopularList
from afresh.state.records import Interaction
from afresh.state.versions import unpack_known

logger = logging.getLogger(__name__)

JUDGE_ROW_VERSION = 1

SERVED_LIMIT = 20_000
"""Users whose newest list is remembered; lists of others are not judged and not learned from."""

SNAPSHOT_MINUTES = 10.0
MINUTE_MS = 60_000


@dataclass(frozen=True)
class Served:
    """A list as it was served, and what it was chosen from.

    Attributes
    ----------
    candidates
        Catalogue rows of the best candidates, best first, int32, shape (C,).
    features
        Their features at that moment, float32, shape (C, F).
    situation
        Context of the user, of ``models.fusion.fusion``.
    listed
        Catalogue rows of the list as it went to Redis, best first, int32, shape (k,).
    popular
        Catalogue rows of the list that popularity would have served, int32, shape (10,).
    made_at
        Examples that the fusion had counted when it weighed the candidates.
    """

    candidates: npt.NDArray[np.int32]
    features: npt.NDArray[np.float32]
    situation: npt.NDArray[np.float64]
    listed: npt.NDArray[np.int32]
    popular: npt.NDArray[np.int32]
    made_at: int = 0


class ServedLists:
    """The newest list of the users served lately.

    Attributes
    ----------
    nobody
        By domain: the popular list, which is shown to users of whom nothing is known.
    """

    def __init__(self, limit: int = SERVED_LIMIT) -> None:
        self.nobody: dict[str, Served] = {}
        self._limit = limit
        self._lists: OrderedDict[str, Served] = OrderedDict()

    def put(self, user: str, served: Served) -> None:
        """Remember a user's newest list, at the cost of the user served longest ago."""
        self._lists[user] = served
        self._lists.move_to_end(user)
        if len(self._lists) > self._limit:
            self._lists.popitem(last=False)

    def put_popular(self, made: Iterable[tuple[PopularList, Served]]) -> None:
        """Remember the popular lists in place of those before."""
        self.nobody = {popular.domain: served for popular, served in made}

    def get(self, user: str) -> Served | None:
        """Newest list of a user, if it is remembered."""
        return self._lists.get(user)


class JudgeRow(msgspec.Struct, array_like=True):
    """What the judge keeps for a partition.

    Attributes
    ----------
    version
        Version of this layout.
    scorers
        Names of the scorers whose weights ``fusion`` holds: weights of others are of no use.
    fusion
        State of the learner.
    verdicts, guard
        How lists were received, and what the guard makes of it.
    """

    version: int = JUDGE_ROW_VERSION
    scorers: list[str] = []
    fusion: bytes = b""
    verdicts: VerdictsRow = msgspec.field(default_factory=VerdictsRow)
    guard: Guard = msgspec.field(default_factory=Guard)


_decoder = msgspec.msgpack.Decoder(JudgeRow)
_encode = msgspec.msgpack.Encoder().encode


class Kept(NamedTuple):
    """What a judge keeps, unpacked."""

    fusion: Fusion
    verdicts: Verdicts
    guard: Guard


class Judge:
    """Judges the examples of one run.

    Parameters
    ----------
    packed
        What the judge kept of the partition.
    served
        The lists served lately.
    known
        What the Catalogue knows of the item of a key.
    snapshot_minutes
        Least time between two snapshots of the fusion.
    """

    def __init__(
        self,
        packed: bytes,
        served: ServedLists,
        known: Callable[[int], Known],
        snapshot_minutes: float = SNAPSHOT_MINUTES,
    ) -> None:
        self.fusion, self.verdicts, self.guard = unpack(packed)
        self._served = served
        self._known = known
        self._period_ms = int(snapshot_minutes * MINUTE_MS)

    def taken(self, interaction: Interaction, user_took: int, *, unknown: bool = False) -> None:
        """Judge one example: a user who had taken so many items before, or of whom nothing was known, took another."""
        lists = self._served
        served = lists.nobody.get(interaction.domain) if unknown else lists.get(interaction.user)
        if served is None:
            self.fusion.skip()
            self.verdicts.unjudged += 1
        else:
            self._judge(served, interaction, user_took)
        if self.fusion.examples % BLOCK == 0:
            self._end_block(interaction.received)

    def _judge(self, served: Served, interaction: Interaction, user_took: int) -> None:
        item = self._known(key_of(interaction.item))
        place = _place(served.candidates, item.row)
        ranks = _ranks(served, place, _place(served.listed, item.row), _place(served.popular, item.row))
        self.fusion.learn(served.features, served.situation, place, item.trust)
        hit, popular = (ranks[:2] < LIST_LENGTH).tolist()
        self.guard.add(hit, popular, served.made_at)
        slices = self.verdicts.slices_of(user_took, item.examples, interaction.domain, interaction.platform)
        self.verdicts.add(ranks, slices)

    def _end_block(self, now: int) -> None:
        rate = self.verdicts.hit_rate()
        for name in self.verdicts.end_block():
            logger.warning("The hit rate of the lists served has drifted (%s)", name)
        before = self.guard.rollbacks
        self.fusion = self.guard.end_block(self.fusion, rate, now, self._period_ms)
        if self.guard.rollbacks > before:
            logger.warning("The lists are worse than they were and than popularity's: the weights go back")

    def roll_back(self, now: int) -> None:
        """Go back to the last good snapshot because a person says so."""
        self.fusion = self.guard.roll_back(self.fusion, now, "command")
        logger.warning("The weights go back: afresh rollback was called")

    def finish(self) -> bytes:
        """What the judge keeps, packed."""
        return _encode(
            JudgeRow(
                scorers=list(scorers.NAMES),
                fusion=self.fusion.to_bytes(),
                verdicts=self.verdicts.row(),
                guard=self.guard,
            )
        )


def unpack(packed: bytes) -> Kept:
    """Unpack what a judge kept; new ones for nothing.

    Raises
    ------
    RowVersionError
        When a newer version of this program wrote it.
    """
    if not packed:
        return Kept(scorers.new_fusion(), Verdicts(), Guard())
    row = unpack_known(_decoder, packed, "What the judge kept", JUDGE_ROW_VERSION)
    learned = Fusion.from_bytes(row.fusion)
    if row.scorers != list(scorers.NAMES):
        # The program was started with other scorers: their weights are learned anew, the count goes on.
        logger.warning("The scorers have changed: the weights of the fusion start anew")
        examples, learned = learned.examples, scorers.new_fusion()
        learned.examples = examples
    return Kept(learned, Verdicts(row.verdicts), row.guard)


def _place(rows: npt.NDArray[np.int32], row: int) -> int | None:
    found = np.flatnonzero(rows == row)
    return int(found[0]) if row >= 0 and len(found) else None


def _ranks(
    served: Served, place: int | None, listed: int | None, popular: int | None
) -> npt.NDArray[np.int64]:
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
