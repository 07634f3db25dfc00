"""Makes small events, items and notes for the tests of the demo."""

from __future__ import annotations

from afresh.deploy.demo.judge import PlayerJudge
from afresh.deploy.demo.notes import Notes
from afresh.deploy.demo.progress import Progress
from afresh.deploy.demo.spotlight import Spotlight
from afresh.streams.messages import Event, Item

TITLES = {"a": "Fargo", "b": "Alien [1979]", "c": "Heat"}


def event(number: int, user: str, item: str = "a", platform: str = "web") -> Event:
    return Event(
        id=f"e{number}", type="rating", time=number, user=user, item=item, platform=platform, domain="films"
    )


def events(users: str) -> list[Event]:
    """Make one event for each letter, in time order; the letter is the user."""
    return [event(number, user) for number, user in enumerate(users)]


def item(name: str) -> Item:
    return Item(id=name, domain="films", title=f"Film {name}")


def notes_of_a_run() -> Notes:
    """Make the player's notes after four of 2,000 events."""
    notes = Notes(Progress(2_000), PlayerJudge(list(TITLES), 2_000), Spotlight())
    notes.progress.start()
    for number in range(4):
        place = notes.judge.judge(f"u{number}", "b", ["a", "b"] if number else [])
        notes.spotlight.saw(event(number, "ann", "b"), ["a", "b"], place)
        notes.progress.sent += 1
        notes.progress.answer(0.02, late=False)
    return notes
