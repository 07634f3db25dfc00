from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from afresh.deploy.clients import redis_client
from afresh.deploy.ledger.served import AGE_BYTES, Age, age_of, read_ages, read_served
from afresh.deploy.servers import Server
from afresh.state.lists import PopularList, UserList, timestamp
from afresh.streams.settings import Settings

NEW = PopularList(0, 0, timestamp(5.0), "films", [])


def user_list(user: str = "web:ann", since: int = 3, revision: int = 2, at: float = 1.5) -> bytes:
    return msgspec.json.encode(UserList(since, revision, timestamp(at), user, "e1", "m", []))


@given(st.integers(0, 2**53), st.integers(0, 2**53), st.floats(0, 4e9))
def test_the_age_of_a_list_is_read_from_its_beginning(since: int, revision: int, at: float) -> None:
    packed = user_list(since=since, revision=revision, at=at)
    assert age_of(packed[:AGE_BYTES]) == Age(since, revision, timestamp(at))


@given(st.tuples(*[st.integers(0, 3)] * 3), st.tuples(*[st.integers(0, 3)] * 3))
def test_the_list_with_the_greater_age_is_the_newer(
    one: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    ages = [age_of(user_list(since=s, revision=r, at=float(t))) for s, r, t in (one, other)]
    assert ages[0] is not None
    assert ages[1] is not None
    assert (ages[0] < ages[1]) == (one < other)


def test_a_value_that_is_no_list_has_no_age() -> None:
    assert age_of(b"{}") is None
    assert age_of(b"") is None


def test_lists_are_read_by_user_and_by_domain_of_one_namespace(redis_server: Server) -> None:
    settings = Settings(_env_file=None, redis=redis_server.address, namespace="served-test")
    lists = {f"web:u{number}": user_list(f"web:u{number}") for number in range(2500)}
    lists["tv:a:b*[?]\N{SNOWMAN}"] = user_list("tv")
    popular = msgspec.json.encode(NEW)
    with Redis.from_url(redis_server.address) as writer:
        writer.mset({f"served-test:recommendations:{user}": packed for user, packed in lists.items()})
        writer.set("served-test:popular:films", popular)
        writer.set("served-test:writer:x", 1)
        writer.set("served-test-2:recommendations:web:u1", b"other")
    with redis_client(settings) as redis:
        served = read_served(redis, "served-test")
        ages = read_ages(redis, "served-test")
        redis.delete(*ages)
    assert served.users == lists
    assert served.domains == {"films": popular}
    assert ages.pop(b"served-test:popular:films") == Age(0, 0, timestamp(5.0))
    assert set(ages.values()) == {Age(3, 2, timestamp(1.5))}
    assert len(ages) == len(lists)
