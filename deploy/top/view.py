"""Shows a user: as one screen, or as a line for each event and each list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from rich.console import Group, RenderableType
from rich.table import Table

from afresh.deploy.terminal import plain
from afresh.deploy.top.feed import TAIL
from afresh.deploy.top.sources import Look
from afresh.deploy.top.story import Listed, Ranked, Story, TakenIn
from afresh.state.lists import timestamp

EVENTS = 10
"""Events on the screen."""


def screen(name: str, story: Story, look: Look) -> RenderableType:
    """Return everything on one screen: remarks, the newest events, the list."""
    shown: list[RenderableType] = [plain(each) for each in remarks(name, story, look)]
    shown.append(_events(story, look.titles))
    if story.listed is not None:
        shown.append(_list(story.listed, look.titles))
    return Group(*shown)


def remarks(name: str, story: Story, look: Look) -> Iterator[str]:
    """Yield sentences on the user, and on what is away.

    Parameters
    ----------
    name
        The user as a person names it.
    story, look
        What has happened, and what was seen last.
    """
    yield from look.problems
    if name != look.user:
        yield f"{name} is linked to {look.user}: these are the events and the list of {look.user}"
    if look.problems or look.list is not None:
        return
    if story.events or story.listed:
        yield f"Redis holds no list of {look.user}"
        return
    hint = "" if ":" in name else " (users are named platform:user, such as web:ann)"
    yield (
        f"nothing is known of {name}{hint}: Redis holds no list, and none of the newest {TAIL:,} events of the "
        "partition is theirs; waiting for one"
    )


def event_line(user: str, taken: TakenIn, titles: Mapping[str, str]) -> str:
    """Return an event as a line."""
    event, item = taken.event, _titled(taken.event.item, titles)
    hit = f": {where(taken)}" if taken.counts else ""
    return f"event {timestamp(event.received / 1000)} {user} {event.type} {item} {event.event}{hit}"


def list_line(user: str, listed: Listed, titles: Mapping[str, str]) -> str:
    """Return a list as a line."""
    made = listed.list
    items = (
        f"{each.rank}. {_titled(each.item.id, titles)} {each.item.score:.4g} {_moved(each, listed)}".rstrip()
        for each in listed.first()
    )
    return f"list {made.generated_at} {user} revision {made.revision} {_age(listed)}: {', '.join(items)}"


def where(taken: TakenIn) -> str:
    """Say where the item of an event stood in the list before."""
    if taken.before is None:
        return "no list was seen before it"
    if taken.rank is None:
        return f"not in list {taken.before.revision}"
    return f"{taken.rank}. in list {taken.before.revision}"


def _age(listed: Listed) -> str:
    words = f"takes in {listed.list.last_event}"
    return words if listed.milliseconds is None else f"{words} after {listed.milliseconds:,} ms"


def _moved(each: Ranked, listed: Listed) -> str:
    if listed.before is None or each.before == each.rank:
        return ""
    return "(new)" if each.before is None else f"(was {each.before}.)"


def _titled(item: str, titles: Mapping[str, str]) -> str:
    title = titles.get(item)
    return f'{item} "{title}"' if title else item


def _events(story: Story, titles: Mapping[str, str]) -> Table:
    table = Table(
        "taken by Kafka", "type", "item", "in the list before", "event",
        title=plain(f"Events of {story.user}"), title_justify="left",
    )  # fmt: skip
    for taken in islice(reversed(story.events), EVENTS):
        event = taken.event
        table.add_row(
            timestamp(event.received / 1000),
            event.type,
            plain(_titled(event.item, titles)),
            where(taken) if taken.counts else "",
            plain(event.event),
        )
    return table


def _list(listed: Listed, titles: Mapping[str, str]) -> Table:
    made = listed.list
    table = Table(
        title=plain(f"List {made.revision}, {_age(listed)}"), title_justify="left",
        caption=plain(f"{made.generated_at}, weights {made.weights}"), caption_justify="left",
    )  # fmt: skip
    table.add_column("rank", justify="right")
    table.add_column("item", overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("moved")
    for each in listed.first():
        table.add_row(
            str(each.rank),
            plain(_titled(each.item.id, titles)),
            f"{each.item.score:.4g}",
            f"{_arrow(each)} {_moved(each, listed)}".strip(),
        )
    return table


def _arrow(each: Ranked) -> str:
    if each.before is None or each.before == each.rank:
        return ""
    return "\N{UPWARDS ARROW}" if each.before > each.rank else "\N{DOWNWARDS ARROW}"
