"""Draws how the lists of two accounts become one when they are linked."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from afresh.deploy.demo.linker import Meeting

SHOWN = 5
"""Items of each list that are shown."""


def meeting(now: Meeting | None, titles: Mapping[str, str]) -> RenderableType:
    """Draw the lists of two accounts before a link, and the list that both have after it."""
    if now is None:
        return Group()
    table = Table(box=None, expand=True, padding=(0, 1), header_style="dim")
    for name in (*now.accounts, "both, linked"):
        table.add_column(name, ratio=1, no_wrap=True)
    for place in range(SHOWN):
        one, other, both = (_title(items, place, titles) for items in (*now.before, now.after))
        table.add_row(Text(one), Text(other), Text(both, "green"))
    head = f"One person logged in with both; {1000 * now.seconds:.0f} ms later both have one list"
    return Group(Text(), Text(head, "bold"), table)


def _title(items: tuple[str, ...], place: int, titles: Mapping[str, str]) -> str:
    return titles.get(items[place], items[place]) if place < len(items) else ""
