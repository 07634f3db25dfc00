"""The records that rows are folded from: interactions make users' rows, examples make items' rows."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Scalar = str | int | float | bool

POSITIVE: frozenset[str] = frozenset({"view", "click", "add_to_cart", "purchase", "rating", "like"})
"""Types that say a user took an item: they make a training example."""

BOUGHT: frozenset[str] = frozenset({"purchase"})
"""Types that say that a user has an item for good."""

REFUSED: frozenset[str] = frozenset({"dislike"})
"""Types after which an item is left out of its user's lists, even where those taken are not."""

SEEN: frozenset[str] = POSITIVE | REFUSED
"""Types after which an item is left out of its user's lists where nothing is taken twice."""


LeaveOut = Literal["taken", "bought", "nothing"]
"""What is left out of a user's lists besides what the user refused."""


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
    taken
        Items that the user had taken before this one, however long ago.
    """

    source: int
    offset: int
    item: str
    domain: str
    time: int
    history: bytes
    times: bytes
    taken: int
