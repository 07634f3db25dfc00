from __future__ import annotations

from afresh.deploy.top.story import FIRST, KEPT, Story
from tests.deploy.top.making import event, made


def watched() -> Story:
    """Return the story of a user with one event, and a list that takes it in."""
    story = Story("web:ann")
    story.take([event(1)])
    story.see(made(1, "alien", "solaris", "moon"))
    return story


def test_an_event_is_judged_by_the_list_before_it() -> None:
    hit, miss = watched().take([event(2, "moon"), event(3, "heat")])
    assert (hit.rank, miss.rank) == (3, None)
    assert hit.before == miss.before == made(1, "alien", "solaris", "moon")


def test_before_the_first_list_nothing_is_known_of_a_hit() -> None:
    (first,) = Story("web:ann").take([event(1)])
    assert (first.before, first.rank) == (None, None)


def test_a_list_that_is_seen_before_its_events_is_not_the_list_before_them() -> None:
    story = watched()
    newer = made(3, "heat", "moon")
    assert story.see(newer) is None
    second, third, fourth = story.take([event(2, "moon"), event(3, "moon"), event(4, "moon")])
    assert (second.rank, third.rank) == (3, 3)
    assert (fourth.before, fourth.rank) == (newer, 2)


def test_an_event_that_comes_again_is_not_taken_again() -> None:
    story = watched()
    assert story.take([event(1), event(2)]) == list(story.events)[1:]
    assert [each.event.event for each in story.events] == ["e-1", "e-2"]


def test_only_what_a_user_takes_can_be_a_hit() -> None:
    refused, liked = watched().take([event(2, kind="dislike"), event(3, kind="like")])
    assert (refused.counts, liked.counts) == (False, True)


def test_a_list_says_how_long_its_event_took_and_from_where_items_have_moved() -> None:
    story = watched()
    story.take([event(2)])
    listed = story.see(made(2, "moon", "alien", "heat", after_ms=31))
    assert listed is not None
    assert listed.milliseconds == 31
    assert [(each.item.id, each.rank, each.before) for each in listed.first()] == [
        ("moon", 1, 3),
        ("alien", 2, 1),
        ("heat", 3, None),
    ]


def test_only_the_first_items_of_a_list_are_shown() -> None:
    story = Story("web:ann")
    story.take([event(1)])
    listed = story.see(made(1, *(f"i{number}" for number in range(20))))
    assert listed is not None
    assert [each.rank for each in listed.first()] == list(range(1, FIRST + 1))


def test_the_same_list_is_told_once() -> None:
    story = watched()
    assert story.see(made(1, "alien", "solaris", "moon")) is None
    assert story.see(None) is None


def test_a_list_waits_one_look_for_its_event() -> None:
    story = watched()
    newer = made(2, "heat")
    assert story.see(newer) is None
    listed = story.see(newer)
    assert listed is not None
    assert listed.milliseconds is None


def test_of_a_list_that_was_made_anew_or_was_there_before_it_is_unknown_how_long_it_took() -> None:
    story = watched()
    assert story.listed is not None
    assert story.listed.milliseconds is None
    again = story.see(made(1, "moon", after_ms=60_000))
    assert again is not None
    assert again.milliseconds is None


def test_of_many_events_the_newest_are_remembered() -> None:
    story = Story("web:ann")
    story.take([event(number) for number in range(KEPT + 5)])
    assert len(story.events) == KEPT
    assert story.events[-1].event.event == f"e-{KEPT + 4}"
