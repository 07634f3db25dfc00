"""The URL of Redis, and clients made from it: it names Redis itself, or Sentinels that know where Redis is.

``redis+sentinel://user:password@one:26379,two:26379/service/0`` names two Sentinels, and the service that they watch.
User, password and database are those of Redis. ``?sentinel_username=`` and ``&sentinel_password=`` are the login of the
Sentinels, if they want one. With ``rediss+sentinel://`` both speak TLS.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import redis.asyncio
import redis.asyncio.retry
import redis.asyncio.sentinel
import redis.sentinel
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

SENTINEL_SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
SENTINEL_PORT = 26379

SENTINEL_SECONDS = 2.0
"""Longest wait for a Sentinel: a silent one must not keep us from asking the next."""


class Sentinels(NamedTuple):
    """What a URL says about Sentinels and their service.

    Attributes
    ----------
    addresses
        Host and port of each Sentinel.
    service
        Name under which they know Redis.
    login
        Arguments of the clients of Sentinels: their user and password, and TLS.
    options
        Arguments of the client of Redis.
    """

    addresses: list[tuple[str, int]]
    service: str
    login: dict[str, Any]
    options: dict[str, Any]


def names_sentinels(url: str) -> bool:
    """Whether a URL names Sentinels.

    Examples
    --------
    >>> names_sentinels("redis+sentinel://one,two/cache")
    True
    """
    return url.partition("://")[0] in SENTINEL_SCHEMES


def check(url: str) -> None:
    """Refuse a URL that no client can be made from, or that would be understood otherwise than it was meant.

    Raises
    ------
    ValueError
        The reason.

    Examples
    --------
    >>> check("redis://a:6379,b:6379/0")
    Traceback (most recent call last):
    ValueError: must name one Redis; several Sentinels are named by redis+sentinel://one:26379,two:26379/SERVICE/0
    """
    if names_sentinels(url):
        sentinels_of(url)
        return
    if not url.startswith("unix://") and ("," in _hosts(url) or "," in urlsplit(url).path):
        raise ValueError(
            "must name one Redis; several Sentinels are named by redis+sentinel://one:26379,two:26379/SERVICE/0"
        )
    try:
        redis.Redis.from_url(url)
    except ValueError:
        # Without the cause, which would show parts of a password.
        raise ValueError(
            "must be a URL such as redis://127.0.0.1:6379/0, rediss://user:password@redis:6379/0 or "
            "redis+sentinel://one:26379,two:26379/SERVICE/0; in the password, percent-encode everything except "
            "letters and digits"
        ) from None


def sentinels_of(url: str) -> Sentinels:
    """Read a URL that names Sentinels.

    Raises
    ------
    ValueError
        Something is missing in the URL, or cannot be read.

    Examples
    --------
    >>> sentinels_of("redis+sentinel://one,two:26380/cache/2")
    Sentinels(addresses=[('one', 26379), ('two', 26380)], service='cache', login={}, options={'db': 2})
    """
    parts = urlsplit(url)
    plain = SENTINEL_SCHEMES[parts.scheme]
    service, _, database = parts.path.strip("/").partition("/")
    user = parts.netloc.rpartition("@")[0]
    try:
        addresses = [_address(each) for each in _hosts(url).split(",")]
        options: dict[str, Any] = parse_url(  # type: ignore[no-untyped-call]
            f"{plain}://{user}@redis/{int(database or 0)}?{parts.query}"
        )
    except ValueError:
        addresses = []
    if not addresses or not service:
        raise ValueError(
            "must name Sentinels as redis+sentinel://user:password@one:26379,two:26379/SERVICE/0; in the password, "
            "percent-encode everything except letters and digits"
        )
    tls = {"ssl": True} if options.pop("connection_class", None) else {}
    del options["host"]
    login = {
        name: options.pop(f"sentinel_{name}")
        for name in ("username", "password")
        if f"sentinel_{name}" in options
    }
    return Sentinels(addresses, unquote(service), login | tls, options | tls)


def _hosts(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text.strip()}")
    if not parts.hostname:
        raise ValueError("a Sentinel without a host")
    return parts.hostname, parts.port or SENTINEL_PORT


def client(url: str, **options: Any) -> redis.Redis:
    """Make a client that blocks. Of Sentinels, it asks where Redis is at each new connection.

    Parameters
    ----------
    url
        The URL.
    options
        Further arguments of ``redis.Redis``.
    """
    if not names_sentinels(url):
        return redis.Redis.from_url(url, **options)
    found: redis.Redis = _through_sentinels(redis.sentinel.Sentinel, Retry(NoBackoff(), 0), url, options)
    return found


def async_client(url: str, **options: Any) -> redis.asyncio.Redis:
    """Make a client for asyncio, otherwise like ``client``.

    What fails is tried once more at once, because the connection may have been closed while it was idle. All further
    patience is the caller's, who then knows the reason.
    """
    options = {"retry": redis.asyncio.retry.Retry(NoBackoff(), 1)} | options
    if not names_sentinels(url):
        return redis.asyncio.Redis.from_url(url, **options)
    found: redis.asyncio.Redis = _through_sentinels(
        redis.asyncio.sentinel.Sentinel, redis.asyncio.retry.Retry(NoBackoff(), 0), url, options
    )
    return found


def _through_sentinels(sentinel: Any, retry: Any, url: str, options: dict[str, Any]) -> Any:
    """Make a client with a class of redis-py; ``retry`` is how often a Sentinel is asked again before the next."""
    named = sentinels_of(url)
    options = options | named.options
    wait = {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS, "retry": retry}
    files = {name: value for name, value in options.items() if name.startswith("ssl_")}
    manager = sentinel(named.addresses, sentinel_kwargs=files | named.login | wait)
    return manager.master_for(named.service, **options)
