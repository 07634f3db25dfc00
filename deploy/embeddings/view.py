"""Shows which encoders have read which items."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table

from afresh.deploy.embeddings.collect import Embedded
from afresh.state.encoders import Named

BAR = 30
"""Width of a progress bar."""


def show(found: Embedded) -> Iterator[RenderableType]:
    """Yield a table of the versions, and lines about the way ahead."""
    table = Table(
        "encoder", "version", "items read", "share", "", "lists", title="Embeddings", title_justify="left"
    )
    for named in _named(found):
        count = found.read.get(named, 0)
        table.add_row(
            named.name,
            named.version,
            f"{count:,} of {found.items:,}",
            f"{100 * count / max(found.items, 1):.1f} %",
            ProgressBar(total=max(found.items, 1), completed=count, width=BAR),
            _does(found, named),
        )
    yield table
    yield f"{found.waiting:,} texts wait; {found.speed:.1f} were encoded in a second, lately"
    left = found.seconds_left
    if left:
        yield f"the newest encoder has read all texts in some {_span(left)}"
    if found.plan is None:
        yield "no encoder is wanted yet: start afresh embed-worker"


def _named(found: Embedded) -> list[Named]:
    wanted = [] if found.plan is None else found.plan.wanted
    return [*wanted, *sorted(found.read.keys() - set(wanted), key=lambda each: each.version)]


def _does(found: Embedded, named: Named) -> str:
    if named.version == found.used:
        return "are made from it"
    if found.plan is None or named not in found.plan.wanted:
        return "not wanted any more"
    if found.plan.use == named.version or (not found.plan.use and named == found.plan.wanted[0]):
        return (
            f"change over at {100 * found.plan.threshold:.0f} %" if not found.plan.use else "change over soon"
        )
    return "can go back"


def _span(seconds: float) -> str:
    """Write a time in the largest unit of which there are two.

    Examples
    --------
    >>> [_span(seconds) for seconds in (4, 119, 120, 9_000)]
    ['4 s', '119 s', '2 min', '2 h']
    """
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"
