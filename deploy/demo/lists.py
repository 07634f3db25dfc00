"""Reads lists from Redis, as an application does.

Only the names of the keys come from ``state/lists.py``. The values are decoded here with separate code: the player
reads only what an application shows, and so judges what any reader would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from redis import Redis

from afresh.state.lists import popular_key, recommendations_key


class Entry(msgspec.Struct, frozen=True):
    """An item of a list."""

    id: str


class ReadList(msgspec.Struct, frozen=True):
    """A list in Redis, with only the fields that an application shows.

    Attributes
    ----------
    items
        Items, best first.
    last_event
        Id of the user's newest event that the list takes in; ``None`` in the list of a domain.
    """

    items: list[Entry]
    last_event: str | None = None

    @property
    def ids(self) -> list[str]:
        """Ids of the items, best first."""
        return [entry.id for entry in self.items]


NOTHING = ReadList([])

_decode = msgspec.json.Decoder(ReadList).decode


class Shop(Protocol):
    """Place where users see their lists."""

    def of_users(self, users: Sequence[str]) -> list[ReadList | None]:
        """Read the lists of accounts; ``None`` for an account without a list."""

    def popular(self, domain: str) -> ReadList:
        """Read the popular items of a domain, for users without a list."""


class Lists:
    """Reader of the lists of a deployment.

    Parameters
    ----------
    redis
        A connection that returns bytes.
    namespace
        Prefix of every key.
    """

    def __init__(self, redis: Redis, namespace: str) -> None:
        self._redis = redis
        self._namespace = namespace

    def of_users(self, users: Sequence[str]) -> list[ReadList | None]:
        """Read the lists of accounts in one round trip; ``None`` for an account without a list."""
        return self._read([recommendations_key(self._namespace, user) for user in users])

    def popular(self, domain: str) -> ReadList:
        """Read the popular items of a domain, for users without a list; empty until there is such a list."""
        (found,) = self._read([popular_key(self._namespace, domain)])
        return found or NOTHING

    def _read(self, keys: list[str]) -> list[ReadList | None]:
        values: Any = self._redis.mget(keys) if keys else []
        return [None if value is None else _decode(value) for value in values]
