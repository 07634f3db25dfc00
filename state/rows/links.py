"""Rows of links: the newest record of each link, and the number of the newest move."""

from __future__ import annotations

import msgspec

from afresh.state.moments import OLDEST, Moment
from afresh.state.people import Tie
from afresh.state.versions import unpack_known

LINK_ROW_VERSION = 1
LINK_STATE_VERSION = 1


class LinkRow(msgspec.Struct, frozen=True, array_like=True):
    """The newest record of a link. That of a link that has ended stays: an older record may yet come.

    Attributes
    ----------
    version
        Version of this layout.
    moment
        Moment of the record.
    tie
        The link; None if it has ended.
    canonical
        Canonical user of a link as 0.1.0 had it; else empty.
    """

    version: int = LINK_ROW_VERSION
    moment: Moment = OLDEST
    tie: Tie | None = None
    canonical: str = ""


class LinkState(msgspec.Struct, array_like=True):
    """Agent state of the stage of links.

    Attributes
    ----------
    version
        Version of this layout.
    number, time
        Number and time of the newest move, the time in ms since 1970.
    """

    version: int = LINK_STATE_VERSION
    number: int = 0
    time: int = 0

    def next(self, appended: int) -> None:
        """Begin moves of a link that Kafka appended at a time, in ms: later than all before, by any clock.

        Numbers follow the time. So they do not begin anew where the rows of links are made once more from the topic,
        and rows of users know which of them they have obeyed.
        """
        self.time = max(self.time + 1, appended)
        self.number = max(self.number, 1000 * self.time)


_row_decoder = msgspec.msgpack.Decoder(LinkRow)
_state_decoder = msgspec.msgpack.Decoder(LinkState)
pack = msgspec.msgpack.Encoder().encode
"""Pack a row or a state."""


def unpack(packed: bytes | None) -> LinkRow:
    """Unpack a row; make a new one for None.

    Raises
    ------
    RowVersionError
        The row has an unknown version or layout.
    """
    if packed is None:
        return LinkRow()
    return unpack_known(_row_decoder, packed, "The row of a link", LINK_ROW_VERSION)


def unpack_state(packed: bytes) -> LinkState:
    """Unpack the agent state; make a new one if there is none.

    Raises
    ------
    RowVersionError
        The state has an unknown version or layout.
    """
    if not packed:
        return LinkState()
    return unpack_known(_state_decoder, packed, "The state of links", LINK_STATE_VERSION)
