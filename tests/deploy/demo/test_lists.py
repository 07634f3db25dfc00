from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from afresh.deploy.demo.lists import NOTHING, Lists
from afresh.deploy.servers import Server


@pytest.fixture
def redis(own_redis: Server) -> Iterator[Redis]:
    with Redis.from_url(own_redis.address) as client:
        yield client


def test_lists_are_read_from_redis_as_an_application_reads_them(redis: Redis) -> None:
    lists = Lists(redis, "shop")
    assert lists.of_users([]) == []
    assert lists.popular("films") == NOTHING
    redis.set("shop:recommendations:web:ann", '{"last_event": "e7", "items": [{"id": "b"}, {"id": "a"}]}')
    redis.set("shop:popular:films", '{"domain": "films", "items": [{"id": "p", "score": 2.5}]}')
    found, missing = lists.of_users(["web:ann", "web:bob"])
    assert found is not None
    assert (found.ids, found.last_event, missing) == (["b", "a"], "e7", None)
    assert lists.popular("films").ids == ["p"]
