"""Messages: events and items from producers (JSON), and the records between our agents (MessagePack).

Events and items are a public contract: fields have names, unknown fields are ignored, and every limit is checked. The
types say what is well-formed; ``streams.generous`` takes more. The records between agents are internal: arrays without
names, which only this module writes and reads.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from afresh.models.encoder.base import Kind
from afresh.state.encoders import Plan
from afresh.state.moments import Moment
from afresh.state.people import Sign
from afresh.state.records import EXAMPLE_VERSION, MOVES, TRANSFER, Example, Interaction, Move, Transfer
from afresh.state.versions import unpack_known

EVENT_VERSION = 1
ITEM_VERSION = 1

EventType = Literal["view", "click", "add_to_cart", "purchase", "rating", "like", "dislike", "impression"]

LONGEST_ID = 512
"""Most characters of an id."""

LONGEST_PLATFORM = 128
"""Most characters of the name of a platform."""

LONGEST_ACCOUNT = LONGEST_PLATFORM + 1 + LONGEST_ID
"""Most characters of ``platform:user``."""

Id = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
Platform = Annotated[str, Meta(min_length=1, max_length=LONGEST_PLATFORM, pattern="^[^:]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
AwareTime = Annotated[datetime, Meta(tz=True)]
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""Integer that MessagePack can encode; a longer number would stop the worker that packs it."""

Scalar = str | Integer | float | bool


class Event(Struct, frozen=True, kw_only=True):
    """Something that a user did with an item. Producers send events to ``afresh.events``.

    Attributes
    ----------
    id
        Unique id of the event; a second event with the same id is dropped. Here and in every id and name, an integer
        stands for its decimal string.
    type
        What happened; see ``EventType``.
    time
        When it happened: RFC 3339 with an offset, or milliseconds since 1970 as a number; from 1990 on.
    user, platform
        The platform's id of the user, and the platform's name, which contains no colon.
    item, domain
        The item, and the domain that it belongs to.
    value
        Rating, price or seconds, depending on the type.
    session
        The platform's id of the visit.
    context
        Location, device and so on: a flat map.
    version
        Version of this schema; an unknown one is refused.
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
    """An item of the catalogue. Producers send items to ``afresh.items``, with ``id`` as the key.

    Attributes
    ----------
    id, domain
        The item's id, which is also the record's key, and its domain. A record without a value deletes the item.
    title, text
        Texts that the encoder reads and people see.
    attributes
        A flat map of strings, numbers, booleans or lists of them.
    vectors
        Vectors that the item brings, by their kind, such as of its picture: ``{"image": [0.12, -0.5]}``. A kind that a
        record does not have is absent, whatever an earlier record of the item had.
    available
        Whether lists may contain the item.
    version
        Version of this schema; an unknown one is refused.
    """

    id: Id
    domain: Name
    title: str = ""
    text: str = ""
    attributes: dict[str, Scalar | list[Scalar]] = {}
    vectors: dict[str, list[float]] = {}
    available: bool = True
    version: Integer = ITEM_VERSION


LINK_VERSION = 1

Account = Annotated[str, Meta(min_length=3, max_length=LONGEST_ACCOUNT, pattern=r"^[^:]+:[\s\S]")]
"""A user of a platform: ``platform:user``."""


class Link(Struct, frozen=True, kw_only=True):
    """Two accounts that one person has. Producers send links to ``afresh.identities``.

    The key is both accounts, the smaller name first, as a JSON array: ``["app:7","web:ann"]``. A record without a value
    ends the link.

    Attributes
    ----------
    accounts
        The two accounts, in any order.
    kind
        How it is known: a ``login`` on both, the same ``device``, or the same ``household``, in which people share
        things and are not one person.
    confidence
        Probability that it is so.
    time
        Since when it is known, as the time of an event; of two accounts the one known longer gives the person's name.
    version
        Version of this schema; an unknown one is refused.
    """

    accounts: tuple[Account, Account]
    kind: Sign = "login"
    confidence: Annotated[float, Meta(ge=0, le=1)] = 1.0
    time: AwareTime | Integer
    version: Integer = LINK_VERSION


class SuggestedLink(Struct, frozen=True, kw_only=True):
    """Two accounts that may be one person's: what ``afresh suggest`` writes to ``afresh.identities.suggested``.

    The key is that of a link. A record without a value takes the suggestion back.

    Attributes
    ----------
    accounts
        The two accounts, the smaller name first.
    kind
        No kind of a link: a suggestion that is sent on as it is becomes a dead letter, and merges nobody.
    confidence
        The chance that they are one person's.
    time
        When it was suggested, in ms since 1970.
    """

    accounts: tuple[str, str]
    kind: Literal["suggested"] = "suggested"
    confidence: float
    time: int


ROLL_BACK = "roll_back"
"""Name of the command to take back the weights of the fusion."""

COMMAND_KEY = b""
"""Key of a command; it cannot be a user, because no user id is empty."""


class Command(Struct, frozen=True, array_like=True):
    """A command to the owner of a partition, which carries it out once, in the order of the partition.

    Attributes
    ----------
    name
        What to do; a worker ignores a name that it does not know.
    time
        When the command was given, in ms since 1970.
    """

    name: str
    time: int


EXAMPLES_KEY = b"examples"
INHERITED_KEY = b"inherited"
"""Keys of records with judged examples, and with what an earlier version kept for a partition."""


class Inherited(Struct, frozen=True, array_like=True):
    """What an earlier version kept for a partition, where each partition learned weights of its own."""

    partition: int
    kept: bytes


class TextRequest(Struct, frozen=True, array_like=True):
    """A text to encode; the record's key is the item, ``content`` is the hash of the text.

    ``encoders`` are the versions of the encoders that are to read it; none: all that are wanted.
    """

    item: str
    content: int
    text: str
    encoders: list[str] = []


class Embedding(Struct, frozen=True, array_like=True):
    """The embedding of a text; the record's key is the item, ``vector`` is float16, of unit length, shape (e,).

    An empty vector says that the encoder gives none of this text.
    """

    item: str
    content: int
    encoder: str
    encoder_version: str
    vector: bytes


LONGEST_QUESTION = 16_384
"""Most characters of a text in a question. Encoders read less, and to cut a longer one would keep others waiting."""


class Question(Struct, frozen=True, array_like=True):
    """A text whose vectors somebody waits for; the record's key is the asker's own, and the answer has it, too.

    Attributes
    ----------
    text
        The text; each encoder cuts it at the longest that it reads.
    kind
        What it is: a ``document``, such as the text of an item, or a ``query``, what somebody says or looks for.
    encoders
        Versions of the encoders that are to read it; none: all that the embed worker has.
    """

    text: Annotated[str, Meta(max_length=LONGEST_QUESTION)]
    kind: Kind = "query"
    encoders: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=8)] = []


class TextVector(Struct, frozen=True, array_like=True):
    """What an encoder says of a text in a question: a vector, or the reason why there is none.

    Attributes
    ----------
    encoder, encoder_version
        The encoder; its name is empty if the embed worker does not have it.
    vector
        float16, of unit length, shape (e,); empty if there is none.
    reason
        Why there is none; empty if there is one.
    """

    encoder: str
    encoder_version: str
    vector: bytes
    reason: str = ""


class Answer(Struct, frozen=True, array_like=True):
    """The answer to a question: what each encoder says, or the reason why the question cannot be read."""

    vectors: list[TextVector]
    reason: str = ""


PLAN_KEY = b"plan"
"""Key of what is wanted of encoders."""

NO_SOURCE = 0xFFFF
"""Partition in a keyed record that was made from no record; topics have fewer partitions."""


class KeyedRecord(Struct, frozen=True, array_like=True):
    """A record of an input, in the topic where records of one key share a partition, whatever the producer chose.

    Its key is the record's own key behind the source partition in two bytes; see ``keyed_key``. So compaction keeps the
    newest record that each source partition has of a key. If it kept only the last one written, an older record that
    was read later would replace a newer one.

    Attributes
    ----------
    partition, offset, time
        Source partition, offset there, and when Kafka appended the record; see ``Moment``.
    incarnation
        Incarnation of the source topic, as in ``Interaction``.
    value
        Value as the producer sent it; None deletes the key. Such a record stays: it is all that is known of the key.
    inferred
        Whether no record says so: the key has vanished from its source partition, or its row was in a wrong one.
    """

    partition: int
    offset: int
    time: int
    incarnation: int
    value: bytes | None
    inferred: bool = False

    @property
    def moment(self) -> Moment:
        """Moment of the record."""
        return Moment(self.time, self.partition, self.offset)


def keyed_key(partition: int, key: bytes) -> bytes:
    """Return the key of a keyed record, given the source partition and the record's own key."""
    return partition.to_bytes(2, "big") + key


def own_key(keyed: bytes) -> bytes:
    """Return the record's own key, given the key of its keyed record."""
    return keyed[2:]


event_decoder = msgspec.json.Decoder(Event)
item_decoder = msgspec.json.Decoder(Item)
link_decoder = msgspec.json.Decoder(Link)
suggested_decoder = msgspec.json.Decoder(SuggestedLink)
inherited_decoder = msgspec.msgpack.Decoder(Inherited)
command_decoder = msgspec.msgpack.Decoder(Command)
move_decoder = msgspec.msgpack.Decoder(Move)
transfer_decoder = msgspec.msgpack.Decoder(Transfer)
interaction_decoder = msgspec.msgpack.Decoder(Interaction)
example_decoder = msgspec.msgpack.Decoder(Example)
text_request_decoder = msgspec.msgpack.Decoder(TextRequest)
embedding_decoder = msgspec.msgpack.Decoder(Embedding)
question_decoder = msgspec.msgpack.Decoder(Question)
answer_decoder = msgspec.msgpack.Decoder(Answer)
keyed_decoder = msgspec.msgpack.Decoder(KeyedRecord)
plan_decoder = msgspec.msgpack.Decoder(Plan)

encode = msgspec.msgpack.Encoder().encode
"""Encodes one of our own records."""

UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""Errors of a decoder: the bytes are none of what it knows, whatever they are."""


def decode_command(packed: bytes) -> Command | Move | Transfer:
    """Decode a record among the interactions whose key is ``COMMAND_KEY``."""
    command = command_decoder.decode(packed)
    if command.name in MOVES:
        return move_decoder.decode(packed)
    return transfer_decoder.decode(packed) if command.name == TRANSFER else command


def decode_example(packed: bytes) -> Example:
    """Decode an example of a known version.

    Raises
    ------
    RowVersionError
        A newer program made it.
    """
    return unpack_known(example_decoder, packed, "An example", EXAMPLE_VERSION)
