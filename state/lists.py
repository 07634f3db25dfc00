"""The lists in Redis, where any front end reads them with one GET."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from uuid import uuid4

import msgspec
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

MARK_SECONDS = 3600
"""Life of a writer's mark after its last call."""

_SCRIPT = files("afresh.state").joinpath("replace_unless_newer.lua").read_text()
_encode = msgspec.json.Encoder().encode


class ListItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An item of a list.

    Attributes
    ----------
    id, score
        The item, and its score.
    parts
        What each scorer gave to it.
    propensity
        Chance that it had to stand here, where places are given to new items.
    """

    id: str
    score: float
    parts: dict[str, float]
    propensity: float | None = None


class UserList(msgspec.Struct, frozen=True):
    """A list as it stands in Redis. The first three fields are its age, and the guard reads them by their order.

    Attributes
    ----------
    since
        When Kafka took the user's first event, in ms.
    revision
        Events of the user that the list takes in.
    generated_at
        When it was made, RFC 3339, always with microseconds, so that text order is time order.
    user, last_event
        The canonical user, and the newest event taken in.
    model
        Version of the model.
    items
        The list, best first.
    """

    since: int
    revision: int
    generated_at: str
    user: str
    last_event: str
    model: str
    items: list[ListItem]


class PopularItem(msgspec.Struct, frozen=True):
    """An item of a popular list, with its score."""

    id: str
    score: float


class PopularList(msgspec.Struct, frozen=True):
    """What a domain has for users of whom nothing is known: what is popular, weighed as the fusion has learned."""

    since: int
    revision: int
    generated_at: str
    domain: str
    items: list[PopularItem]


class ListStore:
    """Writes lists under a guard that never lets an older list replace a newer one.

    Parameters
    ----------
    redis
        The client.
    namespace
        First part of every key.
    ttl_seconds
        Life of a list.
    """

    def __init__(self, redis: Redis, namespace: str, ttl_seconds: int) -> None:
        self._redis = redis
        self._namespace = namespace
        self._ttl = ttl_seconds
        self._sha = ""
        self._mark_key = f"{namespace}:writer:{uuid4().hex}"
        self._marked = 0

    async def push(self, lists: Sequence[UserList]) -> int:
        """Write users' lists in one round trip; return how many were withheld by the guard.

        Raises
        ------
        redis.exceptions.RedisError
            When Redis does not answer or refuses.
        """
        return await self._write(
            [(f"{self._namespace}:recommendations:{each.user}", _encode(each)) for each in lists]
        )

    async def push_popular(self, lists: Sequence[PopularList]) -> int:
        """Write the popular lists of domains."""
        return await self._write(
            [(f"{self._namespace}:popular:{each.domain}", _encode(each)) for each in lists]
        )

    async def _write(self, values: Sequence[tuple[str, bytes]]) -> int:
        if not self._sha:
            self._sha = str(await self._redis.script_load(_SCRIPT))
        pipeline = self._redis.pipeline(transaction=False)
        for key, value in values:
            pipeline.evalsha(self._sha, 1, key, value, self._ttl)
        try:
            written = await pipeline.execute()
        except NoScriptError:
            # A Redis that was restarted or replaced by an empty one has forgotten the script.
            self._sha = ""
            return await self._write(values)
        return len(values) - int(sum(written))

    async def has_lost(self) -> bool:
        """Whether Redis has lost what it held since the last call: flushed, started empty or from an older copy.

        Each call counts a key of our own up by one and looks at what stood there.

        Raises
        ------
        redis.exceptions.RedisError
            When Redis does not answer or refuses.
        """
        held = await self._redis.set(self._mark_key, self._marked + 1, ex=MARK_SECONDS, get=True)
        # More than was acknowledged is no loss: an answer may have been lost on its way.
        lost = int(held or 0) < self._marked
        self._marked += 1
        return lost

    async def ping(self) -> bool:
        """Whether Redis answers."""
        return bool(await self._redis.ping())


def timestamp(seconds: float) -> str:
    """Time as RFC 3339 with microseconds.

    Examples
    --------
    >>> timestamp(0.5)
    '1970-01-01T00:00:00.500000Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
