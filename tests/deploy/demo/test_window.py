from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from afresh.deploy.demo.window import Window, account
from afresh.streams.messages import Event
from tests.deploy.demo.making import event, events

users = st.text(alphabet="abcde", max_size=40)


def drain(window: Window, data: st.DataObject) -> list[tuple[Event, set[str]]]:
    """Play to the end and answer users in any order; return each event with the users who waited when it went."""
    gone: list[tuple[Event, set[str]]] = []
    waiting: set[str] = set()
    while not window.exhausted:
        one = window.next()
        if one is not None:
            gone.append((one, set(waiting)))
            waiting.add(account(one))
        if waiting and (one is None or data.draw(st.booleans())):
            answered = data.draw(st.sampled_from(sorted(waiting)))
            waiting.remove(answered)
            window.release(answered)
    return gone


@given(users, st.integers(1, 6), st.data())
def test_every_event_goes_once_and_each_users_events_in_order(
    names: str, at_once: int, data: st.DataObject
) -> None:
    everything = events(names)
    gone = [one for one, _ in drain(Window(everything, at_once), data)]
    assert sorted(gone, key=everything.index) == everything
    for user in set(names):
        assert [one for one in gone if one.user == user] == [one for one in everything if one.user == user]


@given(users, st.integers(1, 6), st.data())
def test_no_user_acts_before_their_answer_and_no_more_users_than_the_limit_wait(
    names: str, at_once: int, data: st.DataObject
) -> None:
    for one, waiting in drain(Window(events(names), at_once), data):
        assert account(one) not in waiting
        assert len(waiting) < at_once


@given(users, st.integers(1, 6), st.data())
def test_only_events_of_waiting_users_are_overtaken(names: str, at_once: int, data: st.DataObject) -> None:
    left = events(names)
    for one, waiting in drain(Window(events(names), at_once), data):
        overtaken = left[: left.index(one)]
        assert {account(other) for other in overtaken} <= waiting
        left.remove(one)


@given(users)
def test_with_instant_answers_events_go_in_time_order(names: str) -> None:
    window, gone = Window(events(names), 3), []
    while (one := window.next()) is not None:
        gone.append(one)
        window.release(account(one))
    assert gone == events(names)
    assert window.exhausted


def test_the_same_user_name_on_two_platforms_means_two_users() -> None:
    window = Window([event(0, "a", platform="web"), event(1, "a", platform="tv")], 2)
    gone = [window.next(), window.next()]
    assert [account(one) for one in gone if one] == ["web:a", "tv:a"]
