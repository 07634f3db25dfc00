"""Rows of the intake: which keys of an input a source partition holds, and how far the intake has come there."""

from __future__ import annotations

import msgspec

from afresh.state.moments import OLDEST
from afresh.state.versions import unpack_known

INTAKE_ROW_VERSION = 1
INTAKE_STATE_VERSION = 1


class IntakeRow(msgspec.Struct, frozen=True, array_like=True):
    """A key that a source partition holds.

    Attributes
    ----------
    version
        Version of this layout.
    offset
        Offset of the newest record of the key that was passed on.
    incarnation
        Incarnation of the source topic, as in ``Interaction``.
    """

    version: int = INTAKE_ROW_VERSION
    offset: int = 0
    incarnation: int = 0


class InputProgress(msgspec.Struct, array_like=True):
    """How far the intake has come in a source partition.

    Attributes
    ----------
    time
        When Kafka appended the newest record that was taken in, in ms since 1970; see ``Moment``.
    compared
        When the rows were last known to have all keys of the source partition and no others, in ms since 1970, by the
        worker's clock; 0 as long as its first records are not taken in.
    """

    time: int = OLDEST.time
    compared: int = 0


class IntakeState(msgspec.Struct, array_like=True):
    """Agent state of the intake.

    Attributes
    ----------
    version
        Version of this layout.
    reached
        How far the intake has come, by input.
    """

    version: int = INTAKE_STATE_VERSION
    reached: dict[str, InputProgress] = {}

    def of(self, name: str) -> InputProgress:
        """Return how far the intake has come in an input, to be changed."""
        return self.reached.setdefault(name, InputProgress())


_row_decoder = msgspec.msgpack.Decoder(IntakeRow)
_state_decoder = msgspec.msgpack.Decoder(IntakeState)

pack = msgspec.msgpack.Encoder().encode
"""Pack a row or the agent state."""


def unpack(packed: bytes) -> IntakeRow:
    """Unpack a row.

    Raises
    ------
    RowVersionError
        The row has an unknown version or layout.
    """
    return unpack_known(_row_decoder, packed, "A row of the intake", INTAKE_ROW_VERSION)


def unpack_state(packed: bytes) -> IntakeState:
    """Unpack the agent state; empty bytes mean that the intake has not begun.

    Raises
    ------
    RowVersionError
        The state has an unknown version or layout.
    """
    if not packed:
        return IntakeState()
    return unpack_known(_state_decoder, packed, "The state of the intake", INTAKE_STATE_VERSION)


def row_key(name: str, key: bytes) -> bytes:
    """Return the key of the row of an input's key.

    Examples
    --------
    >>> row_key("items", b"blade-runner")
    b'items/blade-runner'
    """
    return f"{name}/".encode() + key
