from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.deploy.datasets import movielens
from afresh.deploy.demo import data
from afresh.deploy.demo.data import ENOUGH_EVENTS, EVENTS_BEFORE_LINK, with_second_accounts
from afresh.deploy.demo.window import account
from afresh.state.errors import AfreshError
from afresh.streams.messages import Event
from tests.deploy.datasets.test_sets import put
from tests.deploy.demo.making import event, item


def both(users: str) -> list[Event]:
    """Make one event for each letter, of the web; one for each capital, of TV."""
    return [event(n, user, f"i{n}", "tv" if user.isupper() else "web") for n, user in enumerate(users)]


def test_somebody_with_enough_events_goes_on_in_the_middle_of_them() -> None:
    played, links = with_second_accounts(both("B" + "a" * ENOUGH_EVENTS))
    half = ENOUGH_EVENTS // 2
    assert [account(each) for each in played] == ["tv:B"] + ["web:a"] * half + ["tv:a"] * half
    assert links == {f"e{half + EVENTS_BEFORE_LINK}": ("web:a", "tv:a")}


@pytest.mark.parametrize("users", ["a" * ENOUGH_EVENTS, "B" + "a" * (ENOUGH_EVENTS - 1)])
def test_nobody_goes_on_where_there_is_one_platform_or_with_few_events(users: str) -> None:
    assert with_second_accounts(both(users)) == (both(users), {})


@given(st.lists(st.sampled_from("abAB"), max_size=120))
def test_whoever_goes_on_takes_the_same_and_is_linked_once(users: list[str]) -> None:
    events = both("".join(users))
    played, links = with_second_accounts(events)
    assert [(each.id, each.user, each.item, each.time) for each in played] == [
        (each.id, each.user, each.item, each.time) for each in events
    ]
    moved = Counter(account(now) for was, now in zip(events, played, strict=True) if was != now)
    assert {other: EVENTS_BEFORE_LINK for _, other in links.values()} == dict.fromkeys(
        moved, EVENTS_BEFORE_LINK
    )
    assert all(count >= EVENTS_BEFORE_LINK for count in moved.values())


def test_films_begin_where_both_platforms_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFRESH_DATA", str(tmp_path))
    rows = [("movielens", "m1"), ("movielens", "m2"), ("twitter", "t1"), ("movielens", "m1")]
    put(tmp_path, "films", "".join(f"17\t{name}\tfilm\t{user}\tx1\t4\n" for name, user in rows))
    made = data.load("films", None, second_accounts=True)
    assert [account(each) for each in made.events] == ["twitter:t1", "movielens:m1"]
    assert len(made.items) == 1


def test_only_the_first_events_are_played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movielens, "load", lambda: movielens.Data([item("a")], both("aaa")))
    made = data.load("ml-100k", 2, second_accounts=False)
    assert (made.title, len(made.events), made.links) == ("MovieLens 100K", 2, {})


def test_data_that_the_demo_lacks_are_named() -> None:
    with pytest.raises(AfreshError, match="choose one of ml-100k, films"):
        data.load("nothing", None, second_accounts=True)
