"""Reads a list from Redis as an application does: the user's own list, else the popular items of a domain."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table

from afresh.deploy.clients import redis_client
from afresh.deploy.terminal import plain
from afresh.state.errors import AfreshError
from afresh.state.lists import ListItem, ListReader, decode_popular_list, decode_user_list
from afresh.streams.settings import Settings


@dataclass(frozen=True)
class Found:
    """A list as Redis holds it.

    Attributes
    ----------
    name
        The user, or the domain.
    personal
        Whether it is the user's own list.
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
        If there is neither list.
    redis.RedisError
        If Redis does not answer.
    """
    with redis_client(settings) as redis:
        lists = ListReader(redis, settings.namespace)
        own = lists.of_user(user)
        if own is not None:
            return Found(user, True, own)
        popular = lists.popular(domain) if domain is not None else None
    if popular is not None and domain is not None:
        return Found(domain, False, popular)
    raise AfreshError(_nothing(user, domain))


def ranking_table(found: Found) -> Table:
    """Show a list: rank, item, score and each scorer's share of the score.

    Raises
    ------
    AfreshError
        If the value in Redis is not a list.
    """
    if found.personal:
        own = decode_user_list(found.json, found.name)
        title, caption, items = found.name, f"{own.generated_at} {own.model}", own.items
    else:
        popular = decode_popular_list(found.json, found.name)
        title, caption = f"popular in {found.name}", popular.generated_at
        items = [ListItem(each.id, each.score, {}) for each in popular.items]
    table = Table(title=plain(title), caption=plain(caption))
    table.add_column("rank", justify="right")
    table.add_column("item", overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("parts", overflow="fold")
    for rank, entry in enumerate(items, start=1):
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
