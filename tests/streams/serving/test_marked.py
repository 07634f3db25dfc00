import pytest

from afresh.streams.serving import marked
from afresh.streams.serving.marked import MarkedUsers


def test_users_are_taken_in_the_order_in_which_they_were_first_marked() -> None:
    users = MarkedUsers()
    users.add(0, {"ann": 1, "bob": 2})
    users.add(1, {"cid": 3})
    users.add(0, {"ann": 4})
    assert users.take(2) == [("ann", 0, 4), ("bob", 0, 2)]
    assert users.take(2) == [("cid", 1, 3)]
    assert len(users) == 0


def test_there_is_room_again_once_users_are_taken_or_their_partition_has_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(marked, "USERS_MARKED", 2)
    users = MarkedUsers()
    users.add(0, {"ann": 1})
    assert users.room.is_set()
    users.add(1, {"bob": 2})
    assert not users.room.is_set()
    users.take(1)
    assert users.room.is_set()
    users.add(0, {"cid": 3})
    assert not users.room.is_set()
    users.keep_only({1})
    assert users.room.is_set()
    assert users.take(9) == [("bob", 1, 2)]
