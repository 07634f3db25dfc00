import asyncio
from typing import Any

import pytest
import redis.asyncio.sentinel
import redis.sentinel

from afresh.streams import redis_url
from afresh.streams.redis_url import Sentinels, check, names_sentinels, sentinels_of


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache",
        "redis://cache:6379/0",
        "rediss://ann:p%2Cw@cache:6380/2",
        "redis://[::1]:6379/0",
        "unix:///run/a,b.sock?db=1",
        "redis+sentinel://one,two:26380/cache",
        "rediss+sentinel://ann:p%40w@one:26379,two/cache/3?sentinel_password=hunter2",
    ],
)
def test_a_url_of_one_redis_or_of_sentinels_is_taken(url: str) -> None:
    check(url)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://a:1,b:1/0", "must name one Redis"),
        ("redis://a,b:1", "must name one Redis"),
        ("redis://a:1/0,redis://b:1/0", "must name one Redis"),
        ("a:1,b:1", "must name one Redis"),
        ("http://cache", "must be a URL such as redis://"),
        ("redis+sentinel://one:26379", "must name Sentinels as"),
        ("redis+sentinel:///cache", "must name Sentinels as"),
        ("redis+sentinel://one,,two/cache", "must name Sentinels as"),
        ("redis+sentinel://one:hunter2/cache", "must name Sentinels as"),
        ("redis+sentinel://one/cache/zero", "must name Sentinels as"),
    ],
)
def test_a_url_that_would_be_understood_otherwise_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as raised:
        check(url)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__context__ is None or raised.value.__suppress_context__


def test_redis_and_its_sentinels_have_logins_of_their_own() -> None:
    url = "rediss+sentinel://ann:p%40w@one,[::1]:5/ca%20che/3?sentinel_username=bob&sentinel_password=hunter2"
    assert names_sentinels(url)
    assert sentinels_of(url) == Sentinels(
        [("one", 26379), ("::1", 5)],
        "ca che",
        {"username": "bob", "password": "hunter2", "ssl": True},
        {"username": "ann", "password": "p@w", "db": 3, "ssl": True},
    )


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_both_clients_find_redis_through_sentinels(scheme: str) -> None:
    url = f"{scheme}+sentinel://:hunter2@one,two/cache/3?sentinel_password=hunter3"
    options: dict[str, Any] = {"socket_timeout": 4.0}
    if scheme == "rediss":
        options["ssl_ca_certs"] = "ca.pem"
    pools: list[Any] = [
        make(url, **options).connection_pool for make in (redis_url.client, redis_url.async_client)
    ]
    assert isinstance(pools[0], redis.sentinel.SentinelConnectionPool)
    assert isinstance(pools[1], redis.asyncio.sentinel.SentinelConnectionPool)
    for pool in pools:
        own = pool.connection_kwargs
        assert (pool.service_name, own["password"], own["db"], own["socket_timeout"]) == (
            "cache",
            "hunter2",
            3,
            4.0,
        )
        assert own.get("ssl_ca_certs") == options.get("ssl_ca_certs")
        for each in pool.sentinel_manager.sentinels:
            told = each.connection_pool.connection_kwargs
            assert told["password"] == "hunter3"
            assert told.get("ssl_ca_certs") == options.get("ssl_ca_certs")
    asyncio.run(pools[1].sentinel_manager.aclose())
