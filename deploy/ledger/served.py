"""Reads the lists from Redis."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from redis import Redis

from afresh.state.lists import ListReader

AGE_BYTES = 160
"""Bytes to read of a list for its age, which is at the beginning of the JSON."""


@dataclass(frozen=True)
class ListsInRedis:
    """The lists in Redis, as JSON: of users by user, popular ones by domain."""

    users: dict[str, bytes]
    domains: dict[str, bytes]


def read_served(redis: Redis, namespace: str) -> ListsInRedis:
    """Read all lists of a namespace."""
    lists = ListReader(redis, namespace)
    return ListsInRedis(lists.of_users(), lists.of_domains())


class Age(NamedTuple):
    """Age of a list. Of two lists the one with the greater age is the newer."""

    since: int
    revision: int
    generated_at: str


_AGE = re.compile(rb'\{"since":(-?\d+),"revision":(\d+),"generated_at":"([^"]*)"')


def age_of(packed: bytes) -> Age | None:
    """Return the age of a list from its JSON, or from the beginning of its JSON; None if it is no list.

    Examples
    --------
    >>> age_of(b'{"since":5,"revision":2,"generated_at":"2026-11-25T10:00:00.000000Z","user":"web')
    Age(since=5, revision=2, generated_at='2026-11-25T10:00:00.000000Z')
    """
    found = _AGE.match(packed)
    return Age(int(found[1]), int(found[2]), found[3].decode(errors="replace")) if found else None


def read_ages(redis: Redis, namespace: str) -> dict[bytes, Age | None]:
    """Read the age of every list of a namespace, users' lists and popular lists, by Redis key."""
    lists = ListReader(redis, namespace)
    return {key: age_of(beginning) for key, beginning in lists.beginnings(AGE_BYTES)}
