import pytest

from afresh.streams.serving import requests
from afresh.streams.serving.requests import Requests


def test_users_are_taken_in_the_order_of_their_first_request() -> None:
    users = Requests()
    users.add_users(0, {"ann": 1, "bob": 2})
    users.add_users(1, {"cid": 3})
    users.add_users(0, {"ann": 4})
    assert users.take_users(2) == [("ann", 0, 4), ("bob", 0, 2)]
    assert users.take_users(2) == [("cid", 1, 3)]
    assert len(users) == 0


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
    assert users.take_users(9) == [("bob", 1, 2)]
