"""The records that rows are made from: interactions change the rows of users, examples those of items."""

from __future__ import annotations

from typing import Literal

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


# gc=False: records hold no cycles, and thousands of them are alive at a time, for the collector to look through.


class Interaction(Struct, frozen=True, array_like=True, gc=False):
    """An event that ingest took in, with its canonical user and times in ms. Its key is the user.

    ``source`` and ``offset`` are the event's partition and offset on ``afresh.events``: marks know by them what is
    already counted. ``received`` is the time at which Kafka took the event, in ms. ``incarnation`` is that of
    ``afresh.events``: a topic that is made again begins its offsets again. It is the last 8 bytes of Kafka's topic id;
    0 where the broker has none, and in records of 0.1.0.
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
        Keys of the items that the user took before, newest first; uint64, little-endian, shape (n,).
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
