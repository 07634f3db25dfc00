"""What flows: the events and items that others send (JSON), and the records between our agents (MessagePack).

Events and items are a contract with strangers: named fields, unknown ones ignored, every limit checked. The
records between agents are ours alone: arrays without names, written and read by this module only.
"""

from __future__ import annotations

from datetime import datetime
from inspect import cleandoc
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

EVENT_VERSION = 1
ITEM_VERSION = 1

EventType = Literal["view", "click", "add_to_cart", "purchase", "rating", "like", "dislike", "impression"]

POSITIVE: frozenset[str] = frozenset({"view", "click", "add_to_cart", "purchase", "rating", "like"})
"""Types that say a user took an item: they make a training example."""

SEEN: frozenset[str] = POSITIVE | {"dislike"}
"""Types after which an item is left out of its user's lists."""

Id = Annotated[str, Meta(min_length=1, max_length=512)]
Platform = Annotated[str, Meta(min_length=1, max_length=128, pattern="^[^:]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
AwareTime = Annotated[datetime, Meta(tz=True)]
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""What MessagePack can carry on; a longer number would stop the worker that packs it."""

Scalar = str | Integer | float | bool


class Event(Struct, frozen=True, kw_only=True):
    """Something a user did with an item, as a producer sends it on ``afresh.events``.

    Attributes
    ----------
    id
        Unique name of the event; a second event of the same id is dropped.
    type
        What happened; see ``EventType``.
    time
        When it happened: RFC 3339 with an offset, or milliseconds since 1970.
    user, platform
        The user as the platform names it, and the platform (no colon in it).
    item, domain
        The item and the domain that it belongs to.
    value
        Rating, price or seconds, by type.
    session
        The platform's name of the visit.
    context
        Place, device and so on: a flat map.
    version
        Version of this schema.
    """

    id: Id
    type: EventType
    time: AwareTime | Integer
    user: Id
    item: Id
    platform: Platform
    domain: Name
    value: float | None = None
    session: Id | None = None
    context: dict[str, Scalar] | None = None
    version: Integer = EVENT_VERSION


class Item(Struct, frozen=True, kw_only=True):
    """An item of the catalogue, as a producer sends it on ``afresh.items``, keyed by ``id``.

    Attributes
    ----------
    id, domain
        The item and its domain; the record's key is the id. A record without a value deletes the item.
    title, text
        What the encoder reads and people see.
    attributes
        A flat map of strings, numbers, booleans or lists of them.
    available
        Whether lists may hold the item.
    version
        Version of this schema.
    """

    id: Id
    domain: Name
    title: str = ""
    text: str = ""
    attributes: dict[str, Scalar | list[Scalar]] = {}
    available: bool = True
    version: Integer = ITEM_VERSION


class Interaction(Struct, frozen=True, array_like=True):
    """An event that ingest took in: times in ms, the user canonical. Key: the user.

    ``source`` and ``offset`` name the event's partition and offset on ``afresh.events``: what has been counted
    is known by them. ``received`` is when Kafka took the event, in ms.
    """

    source: int
    offset: int
    received: int
    event: str
    type: str
    time: int
    user: str
    item: str
    platform: str
    domain: str
    value: float | None = None
    session: str | None = None
    context: dict[str, Scalar] | None = None


class Example(Struct, frozen=True, array_like=True):
    """One thing to learn: who the user was, and the item taken. Key: the item.

    Attributes
    ----------
    source, offset
        Partition and offset of the interaction on ``afresh.interactions``.
    item, domain
        The item taken.
    time
        When, in ms.
    history
        Keys of the user's items before this one, newest first; uint64, little-endian, shape (n,).
    times
        When each of them was taken, in seconds since 1970; uint32, shape (n,).
    vectors
        The user's short- and long-term vectors before this item; float32, shape (2, d).
    """

    source: int
    offset: int
    item: str
    domain: str
    time: int
    history: bytes
    times: bytes
    vectors: bytes


class TextRequest(Struct, frozen=True, array_like=True):
    """A text to encode. Key: the item. ``content`` is the hash of the text."""

    item: str
    content: int
    text: str


class Embedding(Struct, frozen=True, array_like=True):
    """A text encoded. Key: the item. ``vector`` is float16, unit length, shape (e,)."""

    item: str
    content: int
    encoder: str
    encoder_version: str
    vector: bytes


event_decoder = msgspec.json.Decoder(Event)
item_decoder = msgspec.json.Decoder(Item)
interaction_decoder = msgspec.msgpack.Decoder(Interaction)
example_decoder = msgspec.msgpack.Decoder(Example)
text_request_decoder = msgspec.msgpack.Decoder(TextRequest)
embedding_decoder = msgspec.msgpack.Decoder(Embedding)

encode = msgspec.msgpack.Encoder().encode
"""Encode one of our own records."""


def json_schemas() -> dict[str, object]:
    """JSON Schemas of events and items, for producers in any language."""
    (event, item), components = msgspec.json.schema_components([Event, Item], ref_template="#/$defs/{name}")
    for component in components.values():
        # Python 3.13 strips the indentation of docstrings, older ones keep it.
        component["description"] = cleandoc(component["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": components,
        "oneOf": [event, item],
    }
