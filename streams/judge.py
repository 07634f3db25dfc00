"""judge: how the lists served were received, and what the fusion learns from it.

Kept in the partition row of the user table, so that every example counts exactly once.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from models import rank, scorers
from models.fusion import Fusion
from streams import metrics

logger = logging.getLogger(__name__)

LIST_LENGTH = 10
"""Length of the lists that the metrics judge."""

MEMORY = 0.9995
"""What is left of the sums after one more example: the metrics look back on about 2,000."""

SERVED_LIMIT = 20_000
"""Users whose newest list is remembered; lists of others are not judged and not learned from."""


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
        Context of the user, shape (4,).
    popular
        Catalogue rows of the list that popularity would have served, int32, shape (10,).
    """

    candidates: npt.NDArray[np.int32]
    features: npt.NDArray[np.float32]
    situation: npt.NDArray[np.float64]
    popular: npt.NDArray[np.int32]


class ServedLists:
    """The newest list of the users served lately."""

    def __init__(self, limit: int = SERVED_LIMIT) -> None:
        self._limit = limit
        self._lists: OrderedDict[str, Served] = OrderedDict()

    def put(self, user: str, served: Served) -> None:
        """Remember a user's newest list, at the cost of the user served longest ago."""
        self._lists[user] = served
        self._lists.move_to_end(user)
        if len(self._lists) > self._limit:
            self._lists.popitem(last=False)

    def get(self, user: str) -> Served | None:
        """Newest list of a user, if it is remembered."""
        return self._lists.get(user)


class Verdicts(msgspec.Struct, array_like=True):
    """Running sums over examples whose user had a list, each fading by ``MEMORY`` an example."""

    judged: float = 0.0
    served_hits: float = 0.0
    served_gain: float = 0.0
    popular_hits: float = 0.0
    popular_gain: float = 0.0

    def add(self, served: int | None, popular: int | None) -> None:
        """Add one example, by the ranks that the item taken had in the list served and in popularity's."""
        self.judged = self.judged * MEMORY + 1.0
        self.served_hits = self.served_hits * MEMORY + rank.hit_rate(served, LIST_LENGTH)
        self.served_gain = self.served_gain * MEMORY + rank.ndcg(served, LIST_LENGTH)
        self.popular_hits = self.popular_hits * MEMORY + rank.hit_rate(popular, LIST_LENGTH)
        self.popular_gain = self.popular_gain * MEMORY + rank.ndcg(popular, LIST_LENGTH)


class JudgeRow(msgspec.Struct, array_like=True):
    """What the judge keeps for a partition.

    Attributes
    ----------
    scorers
        Names of the scorers whose weights ``fusion`` holds: weights of others are of no use.
    fusion
        State of the learner.
    verdicts
        How lists were received.
    """

    scorers: list[str] = []
    fusion: bytes = b""
    verdicts: Verdicts = msgspec.field(default_factory=Verdicts)


_decoder = msgspec.msgpack.Decoder(JudgeRow)
_encode = msgspec.msgpack.Encoder().encode


class Judge:
    """Judges the examples of one run.

    Parameters
    ----------
    packed
        What the judge kept of the partition.
    served
        The lists served lately.
    row_of
        Catalogue row of an item's key.
    """

    def __init__(self, packed: bytes, served: ServedLists, row_of: Callable[[int], int]) -> None:
        self.fusion, self.verdicts = unpack(packed)
        self._served = served
        self._row_of = row_of

    def taken(self, user: str, item_key: bytes) -> None:
        """Judge one example: the user took the item of this key, 8 bytes."""
        served = self._served.get(user)
        if served is None:
            self.fusion.skip()
            return
        row = self._row_of(int.from_bytes(item_key, "little"))
        place = _place(served.candidates, row)
        self.fusion.learn(served.features, served.situation, place)
        self.verdicts.add(place, _place(served.popular, row))

    def finish(self) -> bytes:
        """What the judge keeps, packed."""
        return _encode(JudgeRow(list(scorers.NAMES), self.fusion.to_bytes(), self.verdicts))


def unpack(packed: bytes) -> tuple[Fusion, Verdicts]:
    """Unpack what a judge kept; new ones for nothing."""
    if not packed:
        return scorers.new_fusion(), Verdicts()
    row = _decoder.decode(packed)
    fusion = Fusion.from_bytes(row.fusion)
    if row.scorers != list(scorers.NAMES):
        # The program was started with other scorers: their weights are learned anew, the count goes on.
        logger.warning("The scorers have changed: the weights of the fusion start anew")
        examples, fusion = fusion.examples, scorers.new_fusion()
        fusion.examples = examples
    return fusion, row.verdicts


def _place(rows: npt.NDArray[np.int32], row: int) -> int | None:
    found = np.flatnonzero(rows == row)
    return int(found[0]) if row >= 0 and len(found) else None


def report(verdicts: list[Verdicts]) -> None:
    """Show the verdicts of all partitions as metrics."""
    judged = sum(each.judged for each in verdicts)
    if not judged:
        return
    metrics.HIT_RATE.labels("served").set(sum(each.served_hits for each in verdicts) / judged)
    metrics.NDCG.labels("served").set(sum(each.served_gain for each in verdicts) / judged)
    metrics.HIT_RATE.labels("popularity").set(sum(each.popular_hits for each in verdicts) / judged)
    metrics.NDCG.labels("popularity").set(sum(each.popular_gain for each in verdicts) / judged)
