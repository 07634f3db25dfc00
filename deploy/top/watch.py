"""Shows a user again and again: on one screen, or, where there is no terminal, what is new line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.console import Console
from rich.live import Live

from afresh.deploy.terminal import plain
from afresh.deploy.top.sources import Look
from afresh.deploy.top.story import Story
from afresh.deploy.top.view import event_line, list_line, remarks, screen


def watch(name: str, look: Callable[[], Look], console: Console, check: Callable[[], None]) -> None:
    """Show a user until ``check`` raises.

    Parameters
    ----------
    name
        The user as a person names it.
    look
        Looks at Kafka and Redis; it waits a little for news.
    console
        Where to show it.
    check
        Raises when it is time to end.
    """
    if not console.is_terminal:
        for line in _lines(name, look, check):
            console.print(plain(line), soft_wrap=True)
        return
    story = Story(name)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            check()
            found = look()
            story = _of(found.user, story)
            story.take(found.events)
            story.see(found.list)
            live.update(screen(name, story, found), refresh=True)


def _lines(name: str, look: Callable[[], Look], check: Callable[[], None]) -> Iterator[str]:
    story, said = Story(name), list[str]()
    while True:
        check()
        found = look()
        story = _of(found.user, story)
        for taken in story.take(found.events):
            yield event_line(story.user, taken, found.titles)
        if (listed := story.see(found.list)) is not None:
            yield list_line(story.user, listed, found.titles)
        before, said = said, list(remarks(name, story, found))
        yield from (f"note {each}" for each in said if each not in before)


def _of(user: str, story: Story) -> Story:
    """Return the story of a user; another one once the user was linked to another, or no more."""
    return story if story.user == user else Story(user)
