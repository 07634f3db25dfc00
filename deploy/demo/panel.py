"""Draws a demo as a live panel, as a picture, or as plain lines."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from afresh.deploy.demo.meeting import meeting
from afresh.deploy.demo.notes import Notes
from afresh.deploy.demo.progress import RECENT as RECENT_ANSWERS
from afresh.deploy.demo.scrape import Readings
from afresh.deploy.demo.spotlight import Scene

BARS = "▁▂▃▄▅▆▇█"
POINTS = 32
WIDTH = 108


@dataclass(frozen=True)
class View:
    """The state of a demo at one moment.

    Attributes
    ----------
    title
        Name of the data, for people.
    servers
        Names of the broker and the Redis, for people.
    titles
        Title of each item, by id.
    notes
        The player's notes.
    readings
        The worker's metrics.
    rate
        Events sent a second, just now.
    """

    title: str
    servers: str
    titles: Mapping[str, str]
    notes: Notes
    readings: Readings
    rate: float


def panel(view: View) -> Panel:
    """Draw the live panel."""
    sides = Table.grid(expand=True, padding=(0, 2))
    sides.add_column(width=46)
    sides.add_column(ratio=1)
    sides.add_row(_figures(view), scene(view.notes.spotlight.scene, view.titles))
    return Panel(
        Group(_advance(view), Text(), sides, meeting(view.notes.links.meeting, view.titles)),
        title=f"[bold]afresh[/] on {view.title}",
        subtitle=view.servers,
    )


def line(view: View) -> str:
    """Return the same figures as one line of text."""
    progress = view.notes.progress
    known = f"{_users(view)} users, {_items(view)} items, {_embedded(view)} embedded"
    lag = sum(view.readings.by("afresh_lag_records", "topic").values())
    return (
        f"{progress.sent:,} of {progress.total:,} events, {view.rate:,.0f} events/s, "
        f"event to Redis {_latency(view)}, lag {lag:,}, {known}, {_recent(view)}"
    )


def scene(now: Scene | None, titles: Mapping[str, str]) -> RenderableType:
    """Draw a user's list with titles, and highlight the item taken."""
    if now is None:
        return Text()
    table = Table.grid(padding=(0, 1))
    for place, item in enumerate(now.items, start=1):
        taken = place == now.place
        style = "bold green" if taken else ""
        table.add_row(
            Text(f"{place:>2}", "dim"), Text(titles.get(item, item), style, no_wrap=True), _mark(taken)
        )
    took = Text.assemble("then took ", (titles.get(now.taken, now.taken), "green" if now.place else "yellow"))
    told = Text(f"{now.hits} of {now.events} taken while watched were in the ten", "dim")
    return Group(Text(f"What {now.user} was shown", "bold"), table, took, told)


def picture(view: View, file: Path) -> None:
    """Write the panel as SVG, without the web fonts that rich would make its readers fetch."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(panel(view))
    drawing = console.export_svg(title="make run")
    file.write_text(re.sub(r"\s*@font-face \{.*?\}", "", drawing, flags=re.DOTALL), "utf-8")


def bars(rates: list[float], top: float) -> str:
    """Draw shares as bars; ``top`` is the share of the highest bar.

    Examples
    --------
    >>> bars([0.0, 0.1, 0.2], top=0.2)
    '▁▅█'
    """
    return "".join(BARS[min(int(rate / top * len(BARS)), len(BARS) - 1) if top else 0] for rate in rates)


def _advance(view: View) -> RenderableType:
    progress = view.notes.progress
    row = Table.grid(expand=True, padding=(0, 2))
    row.add_column(ratio=1)
    row.add_column(justify="right")
    clock = f"{int(progress.seconds) // 60}:{int(progress.seconds) % 60:02}"
    row.add_row(
        ProgressBar(total=progress.total, completed=progress.sent),
        f"{progress.sent:,} of {progress.total:,} events · [bold]{view.rate:,.0f}/s[/] now, "
        f"{progress.rate:,.0f}/s overall · {clock}",
    )
    return row


def _figures(view: View) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_row("event → Redis", _latency(view))
    table.add_row("late (over 1 s)", f"{view.notes.progress.late:,}")
    table.add_row("users · items", f"{_users(view)} · {_items(view)}")
    table.add_row("embedded", _embedded(view))
    for topic, records in view.readings.by("afresh_lag_records", "topic").items():
        table.add_row(f"lag {topic.partition('.')[2]}", f"{records:,}")
    return Group(table, Text(), _quality(view))


def _quality(view: View) -> RenderableType:
    if not view.notes.judge.judged:
        return Text("hit rate: not judged", "dim")
    judge = view.notes.judge
    (served, popular), (now, popular_now) = judge.over(), judge.recent()
    course, popular_course = judge.course(POINTS)
    top = max(*course, *popular_course, 0.0)
    table = Table.grid(padding=(0, 1))
    table.add_row(Text("hit rate @10", "dim"), Text("all", "dim"), Text("last 5,000", "dim"))
    table.add_row("served", f"[bold green]{served.hit_rate:.1%}[/]", f"{now.hit_rate:.1%}")
    table.add_row("popularity", f"{popular.hit_rate:.1%}", f"{popular_now.hit_rate:.1%}")
    over_time = [Text(bars(course, top), "green"), Text(bars(popular_course, top), "blue")]
    return Group(table, Text("both over the run:", "dim"), *over_time)


def _mark(taken: bool) -> Text:
    return Text("◀ taken" if taken else "", "bold green")


def _latency(view: View) -> str:
    found = view.notes.progress.latencies(RECENT_ANSWERS)
    return "p50 {:.0f} ms, p99 {:.0f} ms".format(*(1000 * s for s in found)) if found else "not measured"


def _recent(view: View) -> str:
    served, popular = view.notes.judge.recent()
    if math.isnan(served.hit_rate):
        return "hit rate not judged"
    return f"hit rate {served.hit_rate:.1%} (popularity {popular.hit_rate:.1%})"


def _users(view: View) -> str:
    return f"{view.readings.total('afresh_rows', table='users'):,}"


def _items(view: View) -> str:
    return f"{view.readings.total('afresh_catalogue_items'):,}"


def _embedded(view: View) -> str:
    items = view.readings.total("afresh_catalogue_items")
    return f"{view.readings.total('afresh_catalogue_embedded_items') / items:.0%}" if items else "-"
