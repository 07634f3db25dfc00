import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoRedisError
from redis.exceptions import ResponseError

from afresh.deploy.servers import Server
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.state.errors import AfreshError
from afresh.state.lists import (
    PROBE_SECONDS,
    Due,
    ListItem,
    ListReader,
    ListStore,
    PopularItem,
    PopularList,
    UserList,
    decode_popular_list,
    decode_user_list,
    domain_of,
    everything_pattern,
    popular_key,
    popular_pattern,
    probe_key,
    recommendations_key,
    recommendations_pattern,
    timestamp,
    user_of,
)

TTL = 1000
Age = tuple[int, int, str]

FIRST: Age = (1, 1, timestamp(0))


def user_list(age: Age = FIRST, user: str = "web:ann", item: str = "i1") -> UserList:
    return UserList(*age, user, "e1", "afresh-0", [ListItem(item, 0.5, {"neighbours": 0.5})])


class Served:
    """A store in a namespace of its own, and the lists as an application reads them."""

    def __init__(self, redis: Any) -> None:
        self.redis = redis
        self.namespace = f"test-{uuid4().hex[:12]}"
        self.store = ListStore(redis, self.namespace, TTL)

    async def read(self, user: str = "web:ann") -> Any:
        held = await self.redis.get(f"{self.namespace}:recommendations:{user}")
        return held and json.loads(held)


async def with_redis(url: str, act: Callable[[Served], Awaitable[None]]) -> None:
    redis = Redis.from_url(url)
    try:
        await act(Served(redis))
    finally:
        await redis.aclose()


@pytest.fixture
async def served(redis_server: Server) -> AsyncIterator[Served]:
    redis = Redis.from_url(redis_server.address)
    yield Served(redis)
    await redis.aclose()


async def test_a_list_is_read_with_one_get(served: Served) -> None:
    assert await served.store.push([user_list()]) == 0
    assert await served.read() == {
        "since": 1,
        "revision": 1,
        "generated_at": "1970-01-01T00:00:00.000000Z",
        "user": "web:ann",
        "last_event": "e1",
        "model": "afresh-0",
        "items": [{"id": "i1", "score": 0.5, "parts": {"neighbours": 0.5}}],
        "weights": 0,
        "model_version": 0,
    }


async def test_a_list_is_written_for_all_accounts_and_replaces_no_newer_one_of_any(served: Served) -> None:
    await served.store.push([user_list((9, 1, timestamp(0)), "app:7", item="own")])
    accounts = ("web:ann", "tv:1", "app:7")
    assert await served.store.push([user_list()], [accounts]) == 1
    held = [await served.read(each) for each in accounts]
    assert held[0] == held[1]
    assert [each["items"][0]["id"] for each in held] == ["i1", "i1", "own"]


async def test_a_popular_list_is_read_with_one_get(served: Served) -> None:
    await served.store.push_popular([PopularList(0, 0, timestamp(0), "films", [PopularItem("i1", 2.0)])])
    held = json.loads(await served.redis.get(f"{served.namespace}:popular:films"))
    assert (held["domain"], held["items"]) == ("films", [{"id": "i1", "score": 2.0}])


NOW: Age = (10, 5, timestamp(100))


@pytest.mark.parametrize(
    ("age", "stands"),
    [
        ((10, 5, timestamp(100)), True),
        ((10, 5, timestamp(100.000001)), True),
        ((10, 5, timestamp(99.999999)), False),
        ((10, 6, timestamp(1)), True),
        ((10, 4, timestamp(999)), False),
        ((11, 1, timestamp(1)), True),
        ((9, 99, timestamp(999)), False),
        ((-1, 99, timestamp(999)), False),
        ((1_700_000_000_000, 1, timestamp(1)), True),
    ],
)
async def test_a_list_replaces_another_unless_the_other_is_newer(
    served: Served, age: Age, stands: bool
) -> None:
    await served.store.push([user_list(NOW, item="before")])
    assert await served.store.push([user_list(age, item="after")]) == (not stands)
    assert (await served.read())["items"][0]["id"] == ("after" if stands else "before")


async def test_a_list_of_a_user_whose_first_event_had_no_time_is_served(served: Served) -> None:
    """Kafka keeps -1 as the time of a record whose producer set none."""
    await served.store.push([user_list((-1, 1, timestamp(0)))])
    assert await served.store.push([user_list((-1, 2, timestamp(0)), item="i2")]) == 0
    assert await served.store.push([user_list((-1, 1, timestamp(0)))]) == 1
    assert (await served.read())["items"][0]["id"] == "i2"


ages = st.tuples(st.integers(-1, 2), st.integers(1, 12), st.integers(0, 3).map(timestamp))


@given(st.lists(ages, min_size=1, max_size=12), st.integers(1, 4))
@limits(max_examples=25, deadline=None)
def test_the_newest_list_wins_in_any_order_of_pushes(
    redis_server: Server, pushed: list[Age], batch: int
) -> None:
    async def act(served: Served) -> None:
        for start in range(0, len(pushed), batch):
            await served.store.push([user_list(age) for age in pushed[start : start + batch]])
        held = await served.read()
        assert (held["since"], held["revision"], held["generated_at"]) == max(pushed)

    asyncio.run(with_redis(redis_server.address, act))


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
@limits(max_examples=25, deadline=None)
def test_users_and_items_of_any_characters_are_served(redis_server: Server, user: str, item: str) -> None:
    async def act(served: Served) -> None:
        for revision in (1, 2):
            assert await served.store.push([user_list((1, revision, timestamp(0)), user, item)]) == 0
        held = await served.read(user)
        assert (held["user"], held["items"][0]["id"], held["revision"]) == (user, item, 2)

    asyncio.run(with_redis(redis_server.address, act))


async def test_an_id_that_looks_like_an_age_does_not_mislead_the_newest_wins_check(served: Served) -> None:
    odd = '{"since":99,"revision":99,"generated_at":"9"}'
    await served.store.push([user_list(user=odd, item=odd)])
    assert await served.store.push([user_list((1, 2, timestamp(0)), odd)]) == 0


async def test_lists_live_as_long_as_the_setting_says(served: Served) -> None:
    await served.store.push([user_list()])
    key = f"{served.namespace}:recommendations:web:ann"
    await served.redis.expire(key, 10)
    await served.store.push([user_list((1, 2, timestamp(0)))])
    assert 10 < await served.redis.ttl(key) <= TTL


async def test_each_list_of_a_batch_is_compared_by_itself(served: Served) -> None:
    await served.store.push([user_list(NOW, "a"), user_list(NOW, "b")])
    older, newer = (10, 4, timestamp(0)), (10, 6, timestamp(0))
    assert await served.store.push([user_list(older, "a"), user_list(newer, "b"), user_list(older, "c")]) == 1
    assert [(await served.read(user))["revision"] for user in "abc"] == [5, 6, 4]


async def test_pushing_no_lists_is_allowed(served: Served) -> None:
    assert await served.store.push([]) == 0


async def test_a_redis_that_forgot_the_script_is_given_it_again(served: Served) -> None:
    await served.store.push([user_list()])
    await served.redis.script_flush()
    assert await served.store.push([user_list((1, 2, timestamp(0))), user_list(user="b")]) == 0
    assert (await served.read())["revision"] == 2
    assert (await served.read("b"))["revision"] == 1


async def test_a_value_that_is_no_list_is_replaced(served: Served) -> None:
    await served.redis.set(f"{served.namespace}:recommendations:web:ann", "{}")
    assert await served.store.push([user_list()]) == 0
    assert (await served.read())["revision"] == 1


async def test_an_unreachable_redis_raises_a_redis_error() -> None:
    redis = Redis.from_url("redis://127.0.0.1:1/0")
    with pytest.raises(NoRedisError):
        await ListStore(redis, "test", TTL).push([user_list()])
    await redis.aclose()


async def test_a_refusal_is_raised_as_it_is_and_closes_idle_connections(served: Served) -> None:
    key = recommendations_key(served.namespace, "web:ann")
    await served.redis.lpush(key, "no list")
    with pytest.raises(ResponseError, match=r"^WRONGTYPE"):
        await served.store.push([user_list()])
    idle = served.redis.connection_pool._available_connections
    assert idle
    assert not any(each.is_connected for each in idle)
    await served.redis.delete(key)
    assert await served.store.push([user_list()]) == 0


async def test_whether_lists_are_taken_is_tried_under_a_key_that_nobody_reads(served: Served) -> None:
    await served.store.probe()
    await served.store.probe()
    (key,) = [key async for key in served.redis.scan_iter(f"{served.namespace}:*")]
    assert key.decode() == probe_key(served.namespace)
    assert 0 < await served.redis.ttl(key) <= PROBE_SECONDS


@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_timestamps_sort_as_text_in_the_order_of_time(first: float, second: float) -> None:
    earlier, later = sorted((first, second))
    assert timestamp(earlier) <= timestamp(later)


async def test_a_redis_that_keeps_what_it_holds_has_lost_nothing(served: Served) -> None:
    assert [await served.store.has_lost() for _ in range(3)] == [False] * 3


async def test_a_redis_that_evicts_what_expires_soonest_evicts_lists_before_a_heartbeat(
    served: Served,
) -> None:
    writer = ListStore(served.redis, served.namespace, 100 * TTL)
    await writer.push([user_list()])
    await writer.has_lost()
    (heartbeat,) = [key async for key in served.redis.scan_iter(f"{served.namespace}:writer:*")]
    listed = recommendations_key(served.namespace, "web:ann")
    assert await served.redis.pttl(heartbeat) >= await served.redis.pttl(listed)


async def test_a_redis_that_was_emptied_or_went_back_in_time_has_lost_its_lists(served: Served) -> None:
    for _ in range(3):
        await served.store.has_lost()
    (heartbeat,) = [key async for key in served.redis.scan_iter(f"{served.namespace}:writer:*")]
    await served.redis.delete(heartbeat)
    assert [await served.store.has_lost() for _ in range(2)] == [True, False]
    await served.redis.set(heartbeat, 1)
    assert [await served.store.has_lost() for _ in range(2)] == [True, False]


async def test_two_writers_do_not_report_each_other_as_a_loss(served: Served) -> None:
    other = ListStore(served.redis, served.namespace, TTL)
    for _ in range(3):
        assert not await served.store.has_lost()
        assert not await other.has_lost()


@pytest.mark.parametrize(
    ("least", "found"),
    [
        ((10, 5, timestamp(100)), "right"),
        ((10, 5, timestamp(99)), "right"),
        ((10, 5, ""), "right"),
        ((10, 4, timestamp(200)), "right"),
        ((9, 9, timestamp(200)), "right"),
        ((10, 5, timestamp(100.000001)), "stale"),
        ((10, 6, ""), "stale"),
        ((11, 1, ""), "stale"),
    ],
)
async def test_a_look_tells_a_right_list_from_one_that_is_older_than_it_should_be(
    served: Served, least: Age, found: str
) -> None:
    await served.store.push([user_list(NOW, "a")])
    await served.redis.set(recommendations_key(served.namespace, "b"), "no list")
    due = dict.fromkeys(("c", "a", "b"), Due(*least))
    assert await served.store.look(due) == {"c": "missing", "a": found, "b": "stale"}
    assert await served.store.look({}) == {}


async def test_a_look_at_popular_lists_says_which_are_missing(served: Served) -> None:
    await served.store.push_popular([PopularList(0, 0, timestamp(5), "films", [])])
    due = {"films": Due(0, 0, timestamp(5)), "books": Due(0, 0, timestamp(5))}
    assert await served.store.look_at_popular(due) == {"films": "right", "books": "missing"}
    await served.redis.script_flush()
    due["films"] = Due(0, 0, timestamp(6))
    assert await served.store.look_at_popular(due) == {"films": "stale", "books": "missing"}


async def test_a_redis_evicts_lists_only_with_a_limit_and_a_policy_that_evicts(own_redis: Server) -> None:
    redis = Redis.from_url(own_redis.address)
    store = ListStore(redis, "test", TTL)
    policies = []
    for maxmemory, policy in ((0, "volatile-lru"), (10**9, "volatile-lru"), (10**9, "noeviction")):
        await redis.config_set("maxmemory", maxmemory)
        await redis.config_set("maxmemory-policy", policy)
        policies.append(await store.eviction())
    await redis.aclose()
    assert policies == ["", "volatile-lru", ""]


SPELLED = re.compile(r"""[}:"'](recommendations|popular|writer):|f"\{[\w.]*namespace\}:""")
"""A Redis key, or the beginning of one, as code spells it."""


def test_no_other_module_contains_a_redis_key() -> None:
    """Names of topics and consumer groups begin with the namespace, too, but go on with a dot or a dash."""
    spelling = {
        str(path.relative_to(REPOSITORY))
        for package in ("models", "state", "streams", "deploy")
        for path in (REPOSITORY / package).rglob("*.py")
        if SPELLED.search(path.read_text(encoding="utf-8"))
    }
    assert spelling == {"state/lists.py"}


def test_the_keys_are_those_that_applications_know() -> None:
    assert recommendations_key("shop", "web:ann") == "shop:recommendations:web:ann"
    assert popular_key("shop", "films") == "shop:popular:films"


@given(st.text())
def test_a_key_gives_its_user_or_domain_back(name: str) -> None:
    encodable = name.encode(errors="replace").decode()
    assert user_of("shop", recommendations_key("shop", encodable).encode()) == encodable
    assert domain_of("shop", popular_key("shop", encodable).encode()) == encodable


USER_LIST = user_list(FIRST)
POPULAR_LIST = PopularList(0, 0, timestamp(0), "films", [PopularItem("i1", 2.0)])


def test_a_written_list_can_be_decoded() -> None:
    assert decode_user_list(msgspec.json.encode(USER_LIST), "web:ann") == USER_LIST
    assert decode_popular_list(msgspec.json.encode(POPULAR_LIST), "films") == POPULAR_LIST


@pytest.mark.parametrize(
    "stored", [b"", b"no JSON", b"[]", b"{}", b'{"items": 3}', b"\xff", b"[" * 20_000 + b"]" * 20_000]
)
def test_bytes_of_no_list_are_an_error_that_says_so(stored: bytes) -> None:
    with pytest.raises(
        AfreshError, match=r"what Redis holds for web:ann is no list .*; did another program write it"
    ):
        decode_user_list(stored, "web:ann")
    with pytest.raises(AfreshError, match="what Redis holds for films is no list"):
        decode_popular_list(stored, "films")


@pytest.fixture
def shop(redis_server: Server) -> Iterator[tuple[SyncRedis, str]]:
    namespace = f"test-{uuid4().hex[:12]}"
    with SyncRedis.from_url(redis_server.address) as redis:
        yield redis, namespace


def test_tools_read_the_lists_of_one_namespace(shop: tuple[SyncRedis, str]) -> None:
    redis, namespace = shop
    lists = ListReader(redis, namespace)
    assert (lists.of_user("web:ann"), lists.popular("films"), lists.count_users()) == (None, None, 0)
    redis.set(recommendations_key(namespace, "web:ann"), b"own")
    redis.set(recommendations_key(namespace, "tv:a:*[?]"), b"odd")
    redis.set(popular_key(namespace, "films"), b"popular")
    redis.set(f"{namespace}:writer:x", b"1")
    redis.set(recommendations_key(f"{namespace}-2", "web:ann"), b"other")
    assert (lists.of_user("web:ann"), lists.popular("films")) == (b"own", b"popular")
    assert lists.of_users() == {"web:ann": b"own", "tv:a:*[?]": b"odd"}
    assert lists.of_domains() == {"films": b"popular"}
    assert lists.count_users() == 2
    assert sorted(head for _, head in lists.beginnings(1)) == [b"od", b"ow", b"po"]


def test_patterns_match_their_own_keys_only(shop: tuple[SyncRedis, str]) -> None:
    redis, namespace = shop
    keys = [
        recommendations_key(namespace, "web:ann"),
        popular_key(namespace, "films"),
        f"{namespace}:writer:x",
    ]
    redis.mset(dict.fromkeys(keys, b"1"))
    patterns = (recommendations_pattern(namespace), popular_pattern(namespace), everything_pattern(namespace))
    found = [sorted(key.decode() for key in redis.scan_iter(match=each)) for each in patterns]
    assert found == [[keys[0]], [keys[1]], sorted(keys)]
