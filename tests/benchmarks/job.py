"""The per-user job that every contender does, so that only the framework differs."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from afresh.streams.messages import event_decoder

RECENT = 20
PARTITIONS = 4
"""Partitions of every topic."""


class Row(Struct, array_like=True):
    """State of a user: the last items (newest last), their times in ms, and how often each event type came."""

    items: list[str] = []
    times: list[int] = []
    counts: dict[str, int] = {}


class Record(Struct):
    """The record sent for an event: the item taken, and the user's last 20 items before it, newest last."""

    user: str
    item: str
    history: list[str]


row_decoder = msgspec.msgpack.Decoder(Row)
encode_row = msgspec.msgpack.Encoder().encode
encode_record = msgspec.json.Encoder().encode


def fold(row: bytes | None, value: bytes) -> tuple[bytes, Record]:
    """Fold one event into a user's row; return the new row and the record to send."""
    event = event_decoder.decode(value)
    state = row_decoder.decode(row) if row else Row()
    time = event.time
    record = Record(f"{event.platform}:{event.user}", event.item, state.items)
    state = Row(
        [*state.items, event.item][-RECENT:],
        [*state.times, int(time.timestamp() * 1000) if isinstance(time, datetime) else time][-RECENT:],
        state.counts | {event.type: state.counts.get(event.type, 0) + 1},
    )
    return encode_row(state), record
