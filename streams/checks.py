"""What events and items must be to be taken in; free of Faust, so that any process may ask."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec

from afresh.streams.messages import EVENT_VERSION, ITEM_VERSION, Event, Item, event_decoder, item_decoder
from afresh.streams.settings import Settings

T = TypeVar("T")
V = TypeVar("V", Event, Item)

EARLIEST_MS = 631_152_000_000
"""1990-01-01: an older time is a unit or a clock gone wrong."""


class RefusedError(ValueError):
    """A record can not be used; ``reason`` is a short word for metrics, the message says what is wrong.

    A signal to whoever takes records in, and no AfreshError: it ends no process, and its producer reads of it among the
    dead letters.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def check_event(value: bytes | None, received: int, settings: Settings) -> Event:
    """Decode an event and check it.

    Parameters
    ----------
    value
        The record's value.
    received
        When Kafka took it, in ms. Not our own clock: a run worked on again after a crash would then be refused
        another way than the first time.
    settings
        Limits.

    Raises
    ------
    RefusedError
        When the event can not be used.
    """
    if value is None:
        raise RefusedError("malformed", "An event has no value.")
    event = decode_known(event_decoder, value, "event", EVENT_VERSION, settings.text_limit_bytes)
    latest = received + int(settings.clock_ahead_hours * 3_600_000)
    if not EARLIEST_MS <= milliseconds(event.time) <= latest:
        raise RefusedError("time", f"The time {event.time} is before 1990 or too far ahead.")
    return event


def check_item(value: bytes, settings: Settings) -> Item:
    """Decode an item and check it.

    Raises
    ------
    RefusedError
        When the item can not be used.
    """
    return decode_known(item_decoder, value, "item", ITEM_VERSION, settings.text_limit_bytes)


def check_keyed_item(key: bytes | None, value: bytes | None, settings: Settings) -> Item | None:
    """Decode the item of a record and check it; None deletes the item of the record's key.

    Raises
    ------
    RefusedError
        When the item can not be used.
    """
    if not key:
        raise RefusedError("key", "An item's record has no key; key it by the item's id.")
    if value is None:
        return None
    item = check_item(value, settings)
    if key != item.id.encode():
        raise RefusedError("key", f"The key of the item {item.id!r} is not its id.")
    return item


def decode(decoder: msgspec.json.Decoder[T], value: bytes) -> T:
    """Decode JSON from a stranger.

    Raises
    ------
    RefusedError
        When it is not JSON (``malformed``) or not what the schema says (``invalid``).
    """
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise RefusedError("invalid", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("malformed", str(error)) from error


def decode_known(decoder: msgspec.json.Decoder[V], value: bytes, noun: str, version: int, limit: int) -> V:
    """Decode JSON from a stranger, of a size and a version that are taken in; ``noun`` says what it is.

    Raises
    ------
    RefusedError
        As of ``decode``, or when it is larger than ``limit`` bytes or of another version.
    """
    if len(value) > limit:
        raise RefusedError(
            "too_large", f"An {noun} has {len(value):,} bytes; at most {limit:,} are taken in."
        )
    found = decode(decoder, value)
    if found.version != version:
        raise RefusedError("version", f"Version {found.version} of {noun}s is not known; send {version}.")
    return found


def milliseconds(when: datetime | int) -> int:
    """Time in ms since 1970."""
    return when if isinstance(when, int) else int(when.timestamp() * 1000)
