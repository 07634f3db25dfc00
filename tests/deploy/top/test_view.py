from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from afresh.deploy.top.sources import Look
from afresh.deploy.top.story import Story
from afresh.deploy.top.view import event_line, list_line, remarks, screen
from tests.deploy.top.making import event, made

TITLES = {"alien": "Alien", "moon": "Moon"}


@pytest.fixture
def story() -> Story:
    """A user with two lists, the second after an event that was a hit."""
    told = Story("web:ann")
    told.take([event(1)])
    told.see(made(1, "alien", "solaris", "moon"))
    told.take([event(2, "moon"), event(3, kind="dislike")])
    told.see(made(2, "solaris", "alien", "heat"))
    return told


def test_an_event_is_a_line_with_its_place_in_the_list_before(story: Story) -> None:
    first, second, third = (event_line("web:ann", each, TITLES) for each in story.events)
    assert first.endswith('view alien "Alien" e-1: no list was seen before it')
    assert second == 'event 2027-01-15T08:00:02.000000Z web:ann view moon "Moon" e-2: 3. in list 1'
    assert third.endswith('dislike alien "Alien" e-3')


def test_an_item_that_was_not_in_the_list_is_said_so(story: Story) -> None:
    (miss,) = story.take([event(4, "dune")])
    assert event_line("web:ann", miss, {}).endswith("view dune e-4: not in list 2")


def test_a_list_is_a_line_with_what_it_takes_in_and_what_has_moved(story: Story) -> None:
    assert story.listed is not None
    assert list_line("web:ann", story.listed, TITLES) == (
        "list 2027-01-15T08:00:02.024000Z web:ann revision 2 takes in e-2 after 24 ms: "
        '1. solaris 2 (was 2.), 2. alien "Alien" 1.875 (was 1.), 3. heat 1.75 (new)'
    )


def test_the_screen_shows_the_newest_event_first_and_arrows_at_what_has_moved(story: Story) -> None:
    console = Console(width=150, file=StringIO(), record=True)
    console.print(screen("web:ann", story, Look("web:ann", list=made(2), titles=TITLES)))
    shown = console.export_text()
    assert "Events of web:ann" in shown
    assert shown.index("e-3") < shown.index("3. in list 1") < shown.index("no list was seen")
    assert "List 2, takes in e-2 after 24 ms" in shown
    assert "↑ (was 2.)" in shown
    assert "↓ (was 1.)" in shown
    assert "weights 7" in shown


def test_ids_cannot_command_the_terminal() -> None:
    told = Story("web:ann")
    told.take([event(1, "[red]\x1b[2J")])
    told.see(made(1, "[red]\x1b[2J"))
    console = Console(width=150, file=StringIO(), record=True)
    console.print(screen("web:ann", told, Look("web:ann", list=made(1))))
    shown = console.export_text()
    assert "\x1b" not in shown
    assert shown.count("[red]") == 2


def test_of_a_user_that_is_unknown_it_is_said_what_is_waited_for() -> None:
    (said,) = remarks("web:bob", Story("web:bob"), Look("web:bob"))
    assert said.startswith("nothing is known of web:bob: Redis holds no list")
    (said,) = remarks("bob", Story("bob"), Look("bob"))
    assert "users are named platform:user, such as web:ann" in said


def test_a_link_is_said() -> None:
    look = Look("person-7", list=made(1))
    assert list(remarks("web:ann", Story("person-7"), look)) == [
        "web:ann is linked to person-7: these are the events and the list of person-7"
    ]


def test_a_list_that_is_gone_is_said(story: Story) -> None:
    assert list(remarks("web:ann", story, Look("web:ann"))) == ["Redis holds no list of web:ann"]


def test_while_something_is_away_only_this_is_said() -> None:
    look = Look("web:ann", problems=("Redis failed",))
    assert list(remarks("web:ann", Story("web:ann"), look)) == ["Redis failed"]
