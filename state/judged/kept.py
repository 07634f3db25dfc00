"""What the judge keeps for a partition. It lies beside the users' rows and marks, so that every example counts once."""

from __future__ import annotations

import logging
from typing import NamedTuple

import msgspec

from afresh.models import scorers
from afresh.models.fusion.fusion import Fusion
from afresh.state.judged.guard import Guard
from afresh.state.judged.verdicts import Verdicts, VerdictsRow
from afresh.state.versions import known_layout, unpack_known

logger = logging.getLogger(__name__)

JUDGE_ROW_VERSION = 2
"""Since version 2 the fusion also holds the items of its examples that wait for a step."""


class JudgeRow(msgspec.Struct, array_like=True):
    """What the judge keeps, as it is stored.

    Attributes
    ----------
    version
        Version of this layout.
    scorers
        Names of the scorers whose weights ``fusion`` holds. Weights of other scorers are of no use.
    fusion
        Packed state of the fusion.
    verdicts, guard
        The verdicts on lists, and the state of the guard.
    """

    version: int = JUDGE_ROW_VERSION
    scorers: list[str] = []
    fusion: bytes = b""
    verdicts: VerdictsRow = msgspec.field(default_factory=VerdictsRow)
    guard: Guard = msgspec.field(default_factory=Guard)


_decoder = msgspec.msgpack.Decoder(JudgeRow)
_encode = msgspec.msgpack.Encoder().encode


class Kept(NamedTuple):
    """What the judge keeps: the fusion, the verdicts on its lists, and the guard."""

    fusion: Fusion
    verdicts: Verdicts
    guard: Guard

    def copy(self) -> Kept:
        """Copy everything that the judge changes in place."""
        return Kept(
            Fusion.from_bytes(self.fusion.to_bytes()),
            Verdicts(self.verdicts.row()),
            msgspec.structs.replace(self.guard),
        )

    def pack(self) -> bytes:
        """Pack it as the agent state of a partition row."""
        return _encode(
            JudgeRow(
                scorers=list(scorers.NAMES),
                fusion=self.fusion.to_bytes(),
                verdicts=self.verdicts.row(),
                guard=self.guard,
            )
        )


def unpack(packed: bytes) -> Kept:
    """Unpack what the judge kept; make everything new if there is nothing.

    Raises
    ------
    RowVersionError
        A newer version of this program wrote it, or its layout is not known.
    """
    if not packed:
        return Kept(scorers.new_fusion(), Verdicts(), Guard())
    row = unpack_known(_decoder, packed, "What the judge kept", JUDGE_ROW_VERSION)
    with known_layout("What the judge kept"):
        learned = Fusion.from_bytes(row.fusion)
    if row.scorers != list(scorers.NAMES):
        # The program was started with other scorers: the weights are learned anew, and the count goes on.
        logger.warning("The scorers have changed: the weights of the fusion start anew")
        examples, learned = learned.examples, scorers.new_fusion()
        learned.examples = examples
    return Kept(learned, Verdicts(row.verdicts), row.guard)
