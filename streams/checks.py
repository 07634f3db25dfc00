"""Checks of events and items; free of Faust, so that any process can use them."""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

from afresh.state.rows.brought import unread
from afresh.streams import metrics
from afresh.streams.batches import UnreadableBatch
from afresh.streams.encodings import foreign_encoding
from afresh.streams.generous import EVENTS, ITEMS
from afresh.streams.messages import EVENT_VERSION, ITEM_VERSION, LONGEST_ID, Event, Item, Link
from afresh.streams.settings import Settings
from afresh.streams.times import EARLIEST_MS, milliseconds, unusable

V = TypeVar("V", Event, Item, Link)
T_co = TypeVar("T_co", covariant=True)


class Decoder(Protocol[T_co]):
    """Decodes JSON, and raises the errors of ``msgspec``."""

    def decode(self, value: bytes, /) -> T_co:
        """Decode a value."""
        ...


class RefusedError(ValueError):
    """A record cannot be used.

    A signal to the agent that reads the record. It is not an AfreshError, because it does not end a process: the
    producer finds the record and the message among the dead letters.

    Parameters
    ----------
    reason
        Short word for metrics and for the dead letter.
    detail
        Sentence that says what is wrong.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def check_event(value: bytes | None, received: int, settings: Settings) -> Event:
    """Decode an event and check it.

    Parameters
    ----------
    value, settings
        Value of the record, and settings with the limits.
    received
        When Kafka took the event, in ms since 1970; see ``check_time``.

    Raises
    ------
    RefusedError
        When the event cannot be used.
    """
    event = decode_event(value, settings)
    check_time(event, milliseconds(event.time), received, settings)
    return event


def decode_event(value: bytes | None, settings: Settings) -> Event:
    """Decode an event, and check all but its time.

    Raises
    ------
    RefusedError
        When the event cannot be used.
    """
    if value is None:
        raise RefusedError("malformed", "An event has no value.")
    return decode_known(EVENTS, value, "event", EVENT_VERSION, settings.text_limit_bytes)


def check_time(event: Event, time: int, received: int, settings: Settings) -> None:
    """Check the time of an event.

    Parameters
    ----------
    event
        The event.
    time
        Its time, in ms since 1970, by a clock that is right.
    received
        When Kafka took the event, in ms since 1970. Our own clock would be wrong here: a run repeated after a crash
        could get another result than the first time.
    settings
        Settings with the limits.

    Raises
    ------
    RefusedError
        When the time is before 1990, or too far ahead.
    """
    latest = received + int(settings.clock_ahead_hours * 3_600_000)
    if not EARLIEST_MS <= time <= latest:
        raise RefusedError("time", unusable(event.time))


def check_item(value: bytes, settings: Settings) -> Item:
    """Decode an item and check it; count it if it brings vectors that lists cannot read.

    Raises
    ------
    RefusedError
        When the item cannot be used.
    """
    item = decode_known(ITEMS, value, "item", ITEM_VERSION, settings.text_limit_bytes)
    if unread(item.vectors, settings.item_vectors):
        metrics.FIELDS_DROPPED.labels("vectors").inc()
    return item


def check_keyed_item(key: bytes | None, value: bytes | None, settings: Settings) -> Item | None:
    """Decode the item of a record and check it; return None for a record that deletes the item of its key.

    Raises
    ------
    RefusedError
        When the item cannot be used, or the key cannot be an item's id.
    """
    refuse_unreadable(value)
    if not key:
        raise RefusedError("key", "The record of an item has no key; set the key to the item's id.")
    check_name(key, LONGEST_ID, "key", "key of an item")
    if value is None:
        return None
    item = check_item(value, settings)
    if key != item.id.encode():
        raise RefusedError("key", f"The key of the item {item.id!r} is not the item's id.")
    return item


def check_name(name: bytes, longest: int, reason: str, noun: str) -> str:
    """Return a name as text: it becomes the key of rows and of records between agents.

    Raises
    ------
    RefusedError
        When it is empty, longer than ``longest`` characters, or no UTF-8 text.
    """
    try:
        text = name.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(reason, f"The {noun} is no UTF-8 text.") from error
    if not 0 < len(text) <= longest:
        raise RefusedError(reason, f"The {noun} has {len(text):,} characters; 1 to {longest} are allowed.")
    return text


def decode(decoder: Decoder[T_co], value: bytes) -> T_co:
    """Decode JSON from outside.

    Raises
    ------
    RefusedError
        When it is not JSON (``malformed``) or does not match the schema (``invalid``).
    """
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise RefusedError("invalid", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        encoding = foreign_encoding(value)
        raise RefusedError(
            "malformed", f"This is {encoding}; send UTF-8." if encoding else str(error)
        ) from error


def decode_known(decoder: Decoder[V], value: bytes, noun: str, version: int, limit: int) -> V:
    """Decode JSON from outside, and check its size and its version.

    Parameters
    ----------
    decoder, value
        Decoder of the type, and the JSON.
    noun
        Name of the type in messages.
    version
        Version of the schema that is accepted.
    limit
        Maximum size, in bytes.

    Raises
    ------
    RefusedError
        As ``decode`` raises it; also when the value is larger than ``limit`` (``too_large``) or has another version
        (``version``).
    """
    refuse_unreadable(value)
    refuse_too_large(value, noun, limit)
    found = decode(decoder, value)
    if found.version != version:
        raise RefusedError(
            "version", f"The {noun} has the unknown version {found.version}; send version {version}."
        )
    return found


def refuse_too_large(value: bytes, noun: str, limit: int) -> None:
    """Raise RefusedError for a value of more bytes than the limit."""
    if len(value) > limit:
        raise RefusedError("too_large", f"The {noun} has {len(value):,} bytes; the limit is {limit:,} bytes.")


def refuse_unreadable(value: bytes | None) -> None:
    """Raise RefusedError for a record of a batch that nothing can unpack."""
    if isinstance(value, UnreadableBatch):
        raise RefusedError("unreadable", value.why)
