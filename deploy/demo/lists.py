"""Reading lists from Redis, as an application does.

Only the keys are ours to name. What stands under them is decoded here, apart from ``state/lists.py``: the player takes
of a list what an application shows, and judges what any reader would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from redis import Redis

from afresh.state.lists import popular_key, recommendations_key


class Entry(msgspec.Struct, frozen=True):
    """An item of a list."""

    id: str


class ReadList(msgspec.Struct, frozen=True):
    """A list as it stands in Redis, of which only what an application shows is read.

    Attributes
    ----------
    items
        Best first.
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


class Lists:
    """The lists of a deployment.

    Parameters
    ----------
    redis
        A connection that gives bytes.
    namespace
        First part of every key.
    """

    def __init__(self, redis: Redis, namespace: str) -> None:
        self._redis = redis
        self._namespace = namespace

    def of_users(self, users: Sequence[str]) -> list[ReadList | None]:
        """Read the lists of canonical users in one round trip, ``None`` for whoever has none."""
        return self._read([recommendations_key(self._namespace, user) for user in users])

    def popular(self, domain: str) -> ReadList:
        """Read the list for whoever has none; empty until there is one."""
        (found,) = self._read([popular_key(self._namespace, domain)])
        return found or NOTHING

    def _read(self, keys: list[str]) -> list[ReadList | None]:
        values: Any = self._redis.mget(keys) if keys else []
        return [None if value is None else _decode(value) for value in values]
