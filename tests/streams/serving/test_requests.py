from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.streams.serving import requests
from afresh.streams.serving.requests import Requests


def test_users_are_taken_in_the_order_of_their_first_request() -> None:
    clock = count(1.0)
    users = Requests(lambda: next(clock))
    users.add_users(0, {"ann": 1, "bob": 2})
    users.add_users(1, {"cid": 3})
    users.add_users(0, {"ann": 4})
    assert users.take_users(2) == [("ann", 0, 4, 1.0), ("bob", 0, 2, 1.0)]
    assert users.take_users(2) == [("cid", 1, 3, 2.0)]
    assert len(users) == 0


@given(st.lists(st.sets(st.integers(0, 9), max_size=4) | st.integers(1, 4), max_size=60))
def test_whoever_has_waited_longest_is_served_next_however_often_others_ask(
    course: list[set[int] | int],
) -> None:
    now = 0.0
    users, since = Requests(lambda: now), dict[str, float]()
    for happens in course:
        now += 1.0
        if isinstance(happens, set):
            users.add_users(0, {f"u{number}": 0 for number in happens})
            since = {f"u{number}": now for number in happens} | since
            continue
        taken = [each.user for each in users.take_users(happens)]
        assert len(taken) == min(happens, len(since))
        waited = [since.pop(user) for user in taken]
        assert waited == sorted(waited)
        assert max(waited, default=0.0) <= min(since.values(), default=now)
        assert users.longest_wait() == (now - min(since.values()) if since else 0.0)


def test_taken_users_and_moved_partitions_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requests, "USERS_WAITING", 2)
    users = Requests()
    users.add_users(0, {"ann": 1})
    assert not users.is_full()
    users.add_users(1, {"bob": 2})
    assert users.is_full()
    users.take_users(1)
    assert not users.is_full()
    users.add_users(0, {"cid": 3})
    assert users.is_full()
    users.keep_only({1})
    assert not users.is_full()
    assert [(each.user, each.partition, each.received) for each in users.take_users(9)] == [("bob", 1, 2)]
