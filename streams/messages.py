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

from afresh.state.records import Example, Interaction

EVENT_VERSION = 1
ITEM_VERSION = 1

EventType = Literal["view", "click", "add_to_cart", "purchase", "rating", "like", "dislike", "impression"]

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


ROLL_BACK = "roll_back"
"""The command to take the weights of the fusion back."""

COMMAND_KEY = b""
"""Key of a command among the interactions; no user's id is empty."""


class Command(Struct, frozen=True, array_like=True):
    """An order to the owner of a partition of interactions, who obeys it in its place among them, once.

    Attributes
    ----------
    name
        What to do; what a worker does not know it passes over.
    time
        When it was given, in ms.
    """

    name: str
    time: int


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
command_decoder = msgspec.msgpack.Decoder(Command)
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
