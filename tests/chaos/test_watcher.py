import pytest

from tests.chaos.watcher import Watcher


@pytest.fixture
def watcher() -> Watcher:
    return Watcher("redis://127.0.0.1:1/0", "chaos")


def made(since: int, revision: int, generated: str) -> bytes:
    return b'{"since":%d,"revision":%d,"generated_at":"%s","user":"ann"}' % (
        since,
        revision,
        generated.encode(),
    )


def test_newer_and_unchanged_lists_are_right(watcher: Watcher) -> None:
    for value in (made(1, 1, "b"), made(1, 1, "b"), made(1, 1, "c"), made(1, 2, "a"), made(2, 1, "a")):
        watcher.note(b"ann", value)
    assert watcher.wrong == []


@pytest.mark.parametrize("older", [made(4, 9, "z"), made(5, 2, "z"), made(5, 3, "m")])
def test_an_older_list_over_a_newer_one_is_found(watcher: Watcher, older: bytes) -> None:
    watcher.note(b"ann", made(5, 3, "n"))
    watcher.note(b"bob", made(9, 9, "n"))
    watcher.note(b"ann", older)
    (found,) = watcher.wrong
    assert "ann" in found


def test_an_older_list_is_right_after_redis_has_lost_its_lists(watcher: Watcher) -> None:
    watcher.note(b"ann", made(5, 3, "n"))
    watcher.look_away()
    watcher.look_again()
    watcher.note(b"ann", made(5, 2, "n"))
    assert watcher.wrong == []


def test_a_value_that_is_not_a_list_is_found(watcher: Watcher) -> None:
    watcher.note(b"ann", b"garbage")
    assert len(watcher.wrong) == 1
