"""Reads a list as an application does: the user's own from Redis, else what is popular in a domain."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from rich.table import Table

from afresh.deploy.clients import redis_client
from afresh.deploy.terminal import plain
from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings


class Entry(msgspec.Struct, frozen=True):
    """An item of a list, its score, and what each scorer gave to it."""

    id: str
    score: float
    parts: dict[str, float] = {}


class Ranking(msgspec.Struct, frozen=True):
    """What this module reads of a list."""

    generated_at: str
    items: list[Entry]
    model: str = ""


@dataclass(frozen=True)
class Found:
    """A list as it stands in Redis.

    Attributes
    ----------
    name
        The user, or the domain.
    personal
        Whether it is the user's own.
    json
        The bytes in Redis.
    """

    name: str
    personal: bool
    json: bytes


def find(settings: Settings, user: str, domain: str | None = None) -> Found:
    """Look for the list of a canonical user, then for the popular list of a domain.

    Raises
    ------
    AfreshError
        If there is neither.
    redis.RedisError
        If Redis does not answer.
    """
    with redis_client(settings) as redis:
        own = redis.get(f"{settings.namespace}:recommendations:{user}")
        if isinstance(own, bytes):
            return Found(user, True, own)
        popular = redis.get(f"{settings.namespace}:popular:{domain}") if domain is not None else None
    if isinstance(popular, bytes) and domain is not None:
        return Found(domain, False, popular)
    raise AfreshError(_nothing(user, domain))


def ranking_table(found: Found) -> Table:
    """Show a list: rank, item, score and the part of each scorer.

    Raises
    ------
    AfreshError
        If what stands in Redis is no list.
    """
    try:
        ranking = msgspec.json.decode(found.json, type=Ranking)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise AfreshError(
            f"what Redis holds for {found.name} is no list ({error}); was it another program?"
        ) from error
    title = found.name if found.personal else f"popular in {found.name}"
    table = Table(title=plain(title), caption=plain(f"{ranking.generated_at} {ranking.model}"))
    table.add_column("rank", justify="right")
    table.add_column("item", overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("parts", overflow="fold")
    for rank, entry in enumerate(ranking.items, start=1):
        parts = ", ".join(f"{scorer} {part:.3g}" for scorer, part in entry.parts.items())
        table.add_row(str(rank), plain(entry.id), f"{entry.score:.4g}", plain(parts))
    return table


def _nothing(user: str, domain: str | None) -> str:
    words = f"there is no list for {user!r}"
    if ":" not in user:
        words += " (users are named platform:user, such as web:ann)"
    if domain is not None:
        return f"{words} and nothing popular in {domain!r} yet; send events first"
    return f"{words}; add --domain to see what is popular there"
