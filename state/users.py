"""User rows: who a user is, as a function of the user's own interactions alone; ``fold`` is that function.

A row never looks at the catalogue, so that it can be recomputed, bit by bit, from the topic of interactions.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec
import numpy as np
import numpy.typing as npt

from models import factors, scorers
from state.keys import Keys, key_of
from state.records import POSITIVE, SEEN, Example, Interaction
from state.tables import RowVersionError

USER_ROW_VERSION = 1

HISTORY = scorers.HISTORY
"""Items remembered in order, newest first."""

RECENT_EVENTS = 32
"""Event ids remembered, so that an event that a producer sends twice under two offsets counts once."""

SEEN_LIMIT = 4096
"""Items left out of the user's lists, the newest first."""

DOMAIN_LIMIT = 100
"""Domains counted; producers choose their names, and a row must fit into a record batch."""

_KEY_BYTES = 8
_SEEN_BYTES = 4
_TIME_BYTES = 4


class UserRow(msgspec.Struct, array_like=True):
    """State of a user.

    Attributes
    ----------
    version
        Version of this layout.
    since
        When Kafka took the user's first event, in ms: rows made anew after a loss are younger.
    revision
        Events folded in.
    last_event, last_time
        Id of the event folded in last, and the newest time of all, in ms.
    items, times
        Keys (uint64) of the items taken, newest first, and when (uint32, seconds since 1970).
    events
        Keys (uint64) of the newest events.
    seen
        Lower halves (uint32) of the keys of items to leave out, newest first. Among n items seen, an unseen one is
        left out by mistake with probability n / 2³².
    vectors
        Short- and long-term vectors, float32, shape (2, d).
    domains
        Interactions by domain, of the first ``DOMAIN_LIMIT`` domains.
    """

    version: int = USER_ROW_VERSION
    since: int = 0
    revision: int = 0
    last_event: str = ""
    last_time: int = 0
    items: bytes = b""
    times: bytes = b""
    events: bytes = b""
    seen: bytes = b""
    vectors: bytes = b""
    domains: dict[str, int] = {}

    def knows(self, event_key: bytes) -> bool:
        """Whether an event of this key was folded in lately."""
        return _index(self.events, event_key) >= 0

    def note(self, event: str, event_key: bytes, time: int, received: int, domain: str) -> None:
        """Fold in what every event brings.

        Parameters
        ----------
        event, event_key
            Id of the event, and its key, 8 bytes.
        time, received
            When it happened, and when Kafka took it, in ms.
        domain
            Domain of its item.
        """
        if not self.revision:
            self.since = received
        self.revision += 1
        self.last_event = event
        self.last_time = max(self.last_time, time)
        self.events = (event_key + self.events)[: RECENT_EVENTS * _KEY_BYTES]
        if domain in self.domains or len(self.domains) < DOMAIN_LIMIT:
            self.domains[domain] = self.domains.get(domain, 0) + 1

    def leave_out(self, item_key: bytes) -> None:
        """Leave an item out of the user's lists from now on."""
        half = item_key[:_SEEN_BYTES]
        if _index(self.seen, half) < 0:
            self.seen = (half + self.seen)[: SEEN_LIMIT * _SEEN_BYTES]

    def take(self, item_key: bytes, time: int, code: npt.NDArray[np.float32]) -> None:
        """Fold in an item taken: history and vectors.

        Parameters
        ----------
        item_key
            Key of the item, 8 bytes.
        time
            When, in ms.
        code
            Code of the item, float32, shape (d,); see ``models.factors.item_codes``.
        """
        self.items = (item_key + self.items)[: HISTORY * _KEY_BYTES]
        seconds = min(max(time // 1000, 0), 0xFFFFFFFF).to_bytes(_TIME_BYTES, "little")
        self.times = (seconds + self.times)[: HISTORY * _TIME_BYTES]
        self.vectors = factors.fold(vectors_of(self), code).tobytes()


def fold(row: UserRow, interaction: Interaction, source: int, offset: int) -> Example | None:
    """Fold an interaction that the row does not know yet into it, in place.

    Parameters
    ----------
    row
        The user's row.
    interaction
        What the user did.
    source, offset
        Partition and offset of the interaction, by which its example is known.

    Returns
    -------
    What there is to learn from it: the user just before, and the item taken. None if no item was taken.
    """
    item_key, code = _item(interaction.item)
    example = None
    if interaction.type in POSITIVE:
        example = Example(
            source=source,
            offset=offset,
            item=interaction.item,
            domain=interaction.domain,
            time=interaction.time,
            history=row.items,
            times=row.times,
            vectors=row.vectors,
        )
        row.take(item_key, interaction.time, code)
    if interaction.type in SEEN:
        row.leave_out(item_key)
    event_key = packed_key(interaction.event)
    row.note(interaction.event, event_key, interaction.time, interaction.received, interaction.domain)
    return example


@lru_cache(maxsize=262_144)
def _item(name: str) -> tuple[bytes, npt.NDArray[np.float32]]:
    """Key (8 bytes) and code (float32, shape (d,)) of an item."""
    key = packed_key(name)
    return key, factors.item_codes(np.frombuffer(key, "<u8"))[0]


def _index(packed: bytes, key: bytes) -> int:
    """Place of a key among packed keys of its width, -1 if it is not there."""
    width = len(key)
    found = packed.find(key)
    while found >= 0 and found % width:
        found = packed.find(key, found + 1)
    return found // width if found >= 0 else -1


_decoder = msgspec.msgpack.Decoder(UserRow)
pack = msgspec.msgpack.Encoder().encode
"""Pack a user's row."""


def unpack(packed: bytes | None) -> UserRow:
    """Unpack a user's row; a new one for None.

    Raises
    ------
    RowVersionError
        When a newer version of this program wrote the row.
    """
    if packed is None:
        return UserRow()
    row = _decoder.decode(packed)
    if row.version > USER_ROW_VERSION:
        raise RowVersionError(
            f"A user's row has version {row.version}; this program knows {USER_ROW_VERSION}."
        )
    return row


def packed_key(name: str) -> bytes:
    """Key of an id, as 8 bytes."""
    return key_of(name).to_bytes(_KEY_BYTES, "little")


def history_of(row: UserRow) -> Keys:
    """Keys of the user's items, newest first; uint64, shape (n,)."""
    return np.frombuffer(row.items, "<u8")


def ages_of(row: UserRow) -> npt.NDArray[np.float32]:
    """Seconds from each item of the history to the newest, not below 0; float32, shape (n,)."""
    times = np.frombuffer(row.times, "<u4").astype(np.int64)
    return np.asarray(np.maximum(times[:1] - times, 0), np.float32)


def seen_of(row: UserRow) -> npt.NDArray[np.uint32]:
    """Lower halves of the keys of items to leave out; uint32, shape (n,)."""
    return np.frombuffer(row.seen, "<u4")


def vectors_of(row: UserRow) -> npt.NDArray[np.float32]:
    """Short- and long-term vectors; float32, shape (2, d), zeros for a new user."""
    if not row.vectors:
        return np.zeros((2, factors.DIMENSIONS), np.float32)
    vectors: npt.NDArray[np.float32] = np.frombuffer(row.vectors, "<f4")
    return vectors.reshape(2, factors.DIMENSIONS)
