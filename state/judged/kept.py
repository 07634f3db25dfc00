"""What the one who learns the weights keeps, beside the marks of what it has counted."""

from __future__ import annotations

import logging

import msgspec

from afresh.models import scorers
from afresh.models.fusion.fusion import Fusion
from afresh.state.judged.guard import Guard
from afresh.state.judged.verdicts import Verdicts, VerdictsRow
from afresh.state.versions import known_layout, unpack_known

logger = logging.getLogger(__name__)

JUDGE_ROW_VERSION = 3
"""Since version 3 there is one row for all partitions. The rows before it, one for each partition, are merged into it;
see ``unpack_of_partition``."""


class Contribution(msgspec.Struct, array_like=True):
    """What came from one partition: examples counted, and those of them that were refused because they are garbage."""

    examples: int = 0
    refused: int = 0


class JudgeRow(msgspec.Struct, array_like=True):
    """What is kept, as it is stored.

    Attributes
    ----------
    version
        Version of this layout.
    scorers
        Names of the scorers whose weights ``fusion`` holds.
    fusion
        Packed state of the fusion.
    verdicts, guard
        The verdicts on lists, and the state of the guard.
    sources
        What came from each partition.
    received
        When Kafka took the event of the newest example counted, in ms.
    """

    version: int = JUDGE_ROW_VERSION
    scorers: list[str] = []
    fusion: bytes = b""
    verdicts: VerdictsRow = msgspec.field(default_factory=VerdictsRow)
    guard: Guard = msgspec.field(default_factory=Guard)
    sources: dict[int, Contribution] = {}
    received: int = 0


_decoder = msgspec.msgpack.Decoder(JudgeRow)
_encode = msgspec.msgpack.Encoder().encode


class Kept(msgspec.Struct):
    """What is kept: the fusion, the verdicts on its lists, the guard, and what came from each partition.

    Attributes
    ----------
    fusion, verdicts, guard, sources, received
        As in ``JudgeRow``.
    """

    fusion: Fusion
    verdicts: Verdicts
    guard: Guard
    sources: dict[int, Contribution]
    received: int = 0

    def source(self, partition: int) -> Contribution:
        """Return what came from a partition, to be changed in place."""
        return self.sources.setdefault(partition, Contribution())

    def pack(self) -> bytes:
        """Pack it as the agent state of a partition row."""
        return _encode(
            JudgeRow(
                scorers=list(scorers.NAMES),
                fusion=self.fusion.to_bytes(),
                verdicts=self.verdicts.row(),
                guard=self.guard,
                sources=self.sources,
                received=self.received,
            )
        )

    def merge(self, other: Kept, partition: int) -> None:
        """Take in what an earlier version kept for a partition: means weighted by examples, and sums."""
        self.guard.merge(other.guard)
        self.fusion.merge(other.fusion)
        self.verdicts.merge(other.verdicts)
        source = self.source(partition)
        source.examples += other.fusion.examples
        source.refused += other.fusion.refused


def unpack(packed: bytes) -> Kept:
    """Unpack what was kept; make everything new if there is nothing.

    Raises
    ------
    RowVersionError
        A newer version of this program wrote it, or its layout is not known.
    """
    if not packed:
        return Kept(scorers.new_fusion(), Verdicts(), Guard(), {})
    row = unpack_known(_decoder, packed, "What the judge kept", JUDGE_ROW_VERSION, JUDGE_ROW_VERSION)
    with known_layout("What the judge kept"):
        learned = _of_our_scorers(Fusion.from_bytes(row.fusion), row)
    return Kept(learned, Verdicts(row.verdicts), row.guard, row.sources, row.received)


def unpack_of_partition(packed: bytes) -> Kept:
    """Unpack what an earlier version kept for one partition.

    Raises
    ------
    RowVersionError
        Its layout is not known.
    """
    row = unpack_known(_decoder, packed, "What the judge of a partition kept", JUDGE_ROW_VERSION - 1)
    with known_layout("What the judge of a partition kept"):
        for snapshot in (row.guard.newest, row.guard.good):
            if snapshot.fusion:
                snapshot.fusion = Fusion.of_partition(snapshot.fusion).to_bytes()
        learned = _of_our_scorers(Fusion.of_partition(row.fusion), row)
    return Kept(learned, Verdicts(row.verdicts), row.guard, {})


def _of_our_scorers(learned: Fusion, row: JudgeRow) -> Fusion:
    """Return the fusion of our scorers, and have the guard keep snapshots of them; a ValueError for unknown bytes."""
    row.guard.carry()
    if row.scorers == list(scorers.NAMES):
        return learned
    new = [name for name in scorers.NAMES if name not in row.scorers]
    logger.warning(
        "The scorers have changed: what was learned of the others goes on; at their priors start: %s",
        ", ".join(new) or "none",
    )
    return scorers.carried(learned, row.scorers)
