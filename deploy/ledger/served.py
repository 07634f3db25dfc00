"""Reads the lists from Redis."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis import Redis

READ_AT_ONCE = 1000

AGE_BYTES = 160
"""The age stands at the beginning of a list."""


@dataclass(frozen=True)
class Served:
    """The lists as they stand in Redis: JSON, by user and by domain."""

    users: dict[str, bytes]
    domains: dict[str, bytes]


def read_served(redis: Redis, namespace: str) -> Served:
    """Read all lists of a namespace."""
    return Served(
        _read(redis, f"{namespace}:recommendations:"),
        _read(redis, f"{namespace}:popular:"),
    )


def _read(redis: Redis, prefix: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for some in _keys(redis, prefix):
        values: Any = redis.mget(some)
        found |= {
            key.decode(errors="replace")[len(prefix) :]: value
            for key, value in zip(some, values, strict=True)
            if value is not None
        }
    return found


def _keys(redis: Redis, prefix: str) -> Iterator[list[bytes]]:
    """Keys of a prefix, some at a time."""
    keys = list(redis.scan_iter(match=f"{prefix}*", count=READ_AT_ONCE))
    return (keys[start : start + READ_AT_ONCE] for start in range(0, len(keys), READ_AT_ONCE))


class Age(NamedTuple):
    """Age of a list: the greater, the newer."""

    since: int
    revision: int
    generated_at: str


_AGE = re.compile(rb'\{"since":(-?\d+),"revision":(\d+),"generated_at":"([^"]*)"')


def age_of(packed: bytes) -> Age | None:
    """Age of a list from its JSON, or the beginning of it; None if it is no list.

    Examples
    --------
    >>> age_of(b'{"since":5,"revision":2,"generated_at":"2026-11-25T10:00:00.000000Z","user":"web')
    Age(since=5, revision=2, generated_at='2026-11-25T10:00:00.000000Z')
    """
    found = _AGE.match(packed)
    return Age(int(found[1]), int(found[2]), found[3].decode(errors="replace")) if found else None


def read_ages(redis: Redis, namespace: str) -> dict[bytes, Age | None]:
    """Read the age of every list of a namespace, users' and popular ones, by the key in Redis."""
    ages: dict[bytes, Age | None] = {}
    for kind in ("recommendations", "popular"):
        for some in _keys(redis, f"{namespace}:{kind}:"):
            pipeline = redis.pipeline(transaction=False)
            for key in some:
                pipeline.getrange(key, 0, AGE_BYTES)
            ages |= {key: age_of(head) for key, head in zip(some, pipeline.execute(), strict=True) if head}
    return ages
