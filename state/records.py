"""The records that rows are made from: interactions change the rows of users, examples those of items."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from msgspec import Struct

Scalar = str | int | float | bool

POSITIVE: frozenset[str] = frozenset({"view", "click", "add_to_cart", "purchase", "rating", "like"})
"""Types of events by which a user takes an item: these make an example."""

BOUGHT: frozenset[str] = frozenset({"purchase"})
"""Types of events after which a user owns the item."""

REFUSED: frozenset[str] = frozenset({"dislike"})
"""Types of events after which an item is left out of the user's lists, even where taken items are not."""

LIFTING: frozenset[str] = frozenset({"like", "purchase"})
"""Types of events that take a refusal of the item back. The others do not: a click is no change of mind."""

SEEN: frozenset[str] = POSITIVE | REFUSED
"""Types of events after which an item is left out of the user's lists, if taken items are left out."""


LeaveOut = Literal["taken", "bought", "nothing"]
"""Which items are left out of a user's lists, besides those that the user refused."""


class Way(NamedTuple):
    """How a record came that another partition sent on: it is counted by this place, and not by that of its event.

    Attributes
    ----------
    partition, place
        Where it was sent on: the partition, and the offset there of what it was made from, times ``SENT_ON``, plus the
        number of records that were made from the same one before.
    number
        Number of the newest move that it followed.
    """

    partition: int
    place: int
    number: int


SENT_ON = 1024
"""Bound on the number of records that are made from one and sent on; a row has fewer accounts."""


# gc=False: records hold no cycles, and thousands of them are alive at a time, for the collector to look through.


class Interaction(Struct, frozen=True, array_like=True, gc=False):
    """An event that ingest took in, with its user and times in ms. Its key is the user.

    ``source`` and ``offset`` are the event's partition and offset on ``afresh.events``: marks know by them what is
    already counted. ``received`` is the time at which Kafka took the event, in ms. ``incarnation`` is that of
    ``afresh.events``: a topic that is made again begins its offsets again. It is the last 8 bytes of Kafka's topic id;
    0 where the broker has none, and in records of 0.1.0.

    ``user`` is the account, ``platform:user``, as ingest knows nobody else (0.1.0 gave the canonical user). If the
    account's events belong to another user's row, in another partition, the record is sent on: then ``user`` names the
    row, ``account`` the account, and ``way`` how it came.
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
    incarnation: int = 0
    account: str = ""
    way: Way | None = None


MoveName = Literal["merge", "split", "route"]

MOVES: frozenset[str] = frozenset(get_args(MoveName))


class Move(Struct, frozen=True, array_like=True):
    """A command to the owner of a partition: what some accounts have done belongs to another user's row from now on.

    Attributes
    ----------
    name
        ``merge``: all that the row holds goes to another row. ``split``: what one account did leaves the row.
        ``route``: what comes of an account from now on goes to another row, or stays in its own.
    time
        When Kafka took the link that the move follows from, in ms since 1970; later moves have later times.
    number
        Number of the move, greater than those of all before. A row obeys each number once.
    row
        User whose row obeys, in the partition of the record.
    account
        The account that leaves a row that is split; else the same as ``row``.
    to
        User whose row it goes to.
    """

    name: MoveName
    time: int
    number: int
    row: str
    account: str
    to: str


TRANSFER = "transfer"
"""First field of a transfer: transfers come among commands."""


class Transfer(Struct, frozen=True, array_like=True):
    """What some accounts have done, on the way into another user's row.

    Attributes
    ----------
    name
        ``TRANSFER``.
    time
        Time of the move, in ms since 1970.
    to
        User whose row gets it.
    account
        User whose row it was, or account that it was split by: the row's own account is this one.
    row
        The packed row.
    way
        How it came.
    """

    name: str
    time: int
    to: str
    account: str
    row: bytes
    way: Way


EXAMPLE_VERSION = 2


class Example(Struct, frozen=True, array_like=True, gc=False):
    """One thing to learn: the state of the user, and the item taken. Its key is the item.

    Attributes
    ----------
    source, offset
        Partition and offset of the interaction on ``afresh.interactions``.
    item, domain
        Id of the item taken, and its domain.
    time
        Time at which it was taken, in ms.
    history
        Keys of the items that the user took before ``time``, newest first; uint64, little-endian, shape (n,).
    times
        Time at which each of them was taken, in seconds since 1970; uint32, little-endian, shape (n,).
    taken
        Number of items that the user had taken before, however long ago.
    version
        Version of this layout; 0.1.0 wrote version 1, which ends here.
    incarnation
        Incarnation of ``afresh.interactions``, as in ``Interaction``.
    type, platform, account, value
        How the item was taken: type of the event, its platform, index of the account, and value of the event.
    details
        Details of each item of the history, newest first; see ``state.rows.details``.
    platforms, domains
        Names that the details refer to by their indices.
    """

    source: int
    offset: int
    item: str
    domain: str
    time: int
    history: bytes
    times: bytes
    taken: int
    version: int = 1
    incarnation: int = 0
    type: str = ""
    platform: str = ""
    account: int = 0
    value: float | None = None
    details: bytes = b""
    platforms: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
