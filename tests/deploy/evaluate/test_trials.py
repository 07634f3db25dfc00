from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from afresh.deploy.evaluate.log import read_log
from afresh.deploy.evaluate.trials import blocks, trials_of
from afresh.state.records import Interaction
from afresh.streams.settings import Settings
from tests.deploy.evaluate.making import START_MS, event, lines


def test_a_trial_counts_the_earlier_trials_of_its_user_and_of_its_item() -> None:
    sent = [
        event(n, user, item)
        for n, (user, item) in enumerate([("a", "i"), ("b", "i"), ("a", "j"), ("a", "i")])
    ]
    trials = trials_of(read_log(Settings(), lines(sent)), 0.5)
    assert trials.user_events.tolist() == [0, 0, 1, 2]
    assert trials.item_events.tolist() == [0, 1, 0, 2]
    assert trials.first == 2


def test_events_that_take_nothing_are_no_trials_but_keep_their_position() -> None:
    sent = [event(0, "a", "i", type="impression"), event(1, "a", "i"), event(2, "a", "j", type="dislike")]
    trials = trials_of(read_log(Settings(), lines(sent)), 0)
    assert trials.places.tolist() == [1]


def test_only_the_first_events_in_a_second_domain_count_as_such() -> None:
    sent = [event(n, "a", f"i{n}", domain="films" if n < 2 else "books") for n in range(10)]
    trials = trials_of(read_log(Settings(), lines(sent)), 0)
    assert trials.second_domain.tolist() == [False] * 2 + [True] * 5 + [False] * 3
    assert not trials.second_platform.any()


@given(st.integers(1, 12), st.lists(st.integers(0, 10), max_size=5))
def test_blocks_hold_every_event_once_and_every_item_before_its_events(size: int, minutes: list[int]) -> None:
    items = [
        {"id": f"i{n}", "domain": "d", "time": START_MS + 60_000 * minute} for n, minute in enumerate(minutes)
    ]
    log = read_log(Settings(), lines(event(n, "u", "i") for n in range(10)), lines(items))
    known = 0
    events: list[Interaction] = []
    for block in blocks(log, size):
        known += len(block.announcements)
        events += block.interactions
        due = sum(minute <= block.start for minute in minutes)
        assert known == due
    assert events == log.interactions


@given(st.integers(1, 12), st.lists(st.integers(0, 11), max_size=5))
def test_every_link_is_known_before_the_next_event_and_no_block_is_too_long(
    size: int, minutes: list[int]
) -> None:
    links = [
        {"accounts": ["app:1", f"web:{n}"], "time": START_MS + 60_000 * minute}
        for n, minute in enumerate(minutes)
    ]
    log = read_log(Settings(), lines(event(n, "u", "i") for n in range(10)), links=lines(links))
    known: list[int] = []
    events: list[Interaction] = []
    for block in blocks(log, size):
        known += [each.time for each in block.links]
        for each in block.interactions:
            events.append(each)
            assert known == [link.time for link in log.links if link.time <= each.time]
        assert 1 <= len(block.interactions) <= size
    assert events == log.interactions
