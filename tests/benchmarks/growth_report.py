"""The measurements of ``tests.benchmarks.growth``: as figures for JSON, a table, a formula and a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from afresh.deploy.monitoring import pictures
from tests.benchmarks.growth import Grown, Size
from tests.benchmarks.lists import ListCost

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 9.0, 2.6
"""Width and height of the picture, in inches."""

GIB, MIB, MILLION = 2**30, 2**20, 1_000_000

Values = dict[str, Callable[[Grown], float | None]]

MEASURED: Values = {
    "event_cpu_us": lambda one: one.event_cpu_us,
    "ready_seconds": lambda one: one.start.ready_seconds,
    "ready_cpu_seconds": lambda one: one.start.ready_cpu_seconds,
    "ready_bytes": lambda one: one.start.ready_bytes,
    "derive_seconds": lambda one: one.start.derive_seconds,
    "peak_bytes": lambda one: one.start.peak_bytes,
}
"""The figures of a size, by their names in JSON. One that was not reached is None."""


@dataclass(frozen=True)
class Line:
    """A figure that grows with items and users: ``base + an_item * items + a_user * users``."""

    base: float
    an_item: float
    a_user: float


def rooms(items: int) -> int:
    """Return how many items the Catalogue has room for when it holds these: its arrays grow by doubling.

    Examples
    --------
    >>> rooms(1_000), rooms(100_000)
    (1024, 131072)
    """
    return 1 << max(items - 1, 0).bit_length()


def line(
    grown: Sequence[Grown],
    value: Callable[[Grown], float | None],
    counted: Callable[[int], int] = int,
) -> Line:
    """Draw a line from the smallest size to the one with the most items, and to the one with the most users.

    Parameters
    ----------
    grown
        What was measured, the smallest size first.
    value
        Returns the figure of a size. Sizes without it are left out.
    counted
        Returns as how many items some items count.
    """
    points = {one.size: found for one in grown if (found := value(one)) is not None}
    if not points:
        return Line(0.0, 0.0, 0.0)
    least = grown[0].size
    items = max((size for size in points if size.users == least.users), default=least)
    users = max((size for size in points if size.items == least.items), key=lambda size: size.users)
    first = points[least]
    an_item = _slope(counted(items.items) - counted(least.items), points[items] - first)
    a_user = _slope(users.users - least.users, points[users] - first)
    return Line(first - an_item * counted(least.items) - a_user * least.users, an_item, a_user)


def _slope(more: int, grown: float) -> float:
    return grown / more if more else 0.0


def figures(grown: Sequence[Grown]) -> dict[str, float]:
    """Return the figures as written to JSON."""
    result: dict[str, float] = {}
    for one in grown:
        of = f"{one.size.items}_items_{one.size.users}_users"
        values = {name: value(one) for name, value in MEASURED.items()}
        values |= {f"{stage}_cpu_us": spent for stage, spent in one.stages_cpu_us.items()}
        result |= {
            f"growth_{name}_of_{of}": round(value, 2) for name, value in values.items() if value is not None
        }
    return result


def table(grown: Sequence[Grown], costs: Sequence[ListCost]) -> Table:
    """Table with one line for each size: each figure, and how many times that of the smallest size it is."""
    by_items = {cost.items: cost.cpu_us for cost in costs}
    shown = Table(
        "items", "users", "CPU µs/event", "CPU µs/list", "ready after, s", "derived in, s", "memory, MiB"
    )
    for column in shown.columns:
        column.justify = "right"
        column.no_wrap = True
    values: list[Callable[[Grown], float | None]] = [
        MEASURED["event_cpu_us"],
        lambda one: by_items.get(one.size.items),
        MEASURED["ready_seconds"],
        MEASURED["derive_seconds"],
        _memory_mib,
    ]
    for one in grown:
        cells = [_cell(value(one), value(grown[0])) for value in values]
        shown.add_row(f"{one.size.items:,}", f"{one.size.users:,}", *cells)
    return shown


def _memory_mib(one: Grown) -> float:
    return one.start.peak_bytes / MIB


def _cell(value: float | None, first: float | None) -> str:
    if value is None:
        return "-"
    digits = 0 if value >= 100 else 1
    return f"{value:,.{digits}f}" + (f"  × {value / first:.1f}" if first else "")


def formula(grown: Sequence[Grown]) -> list[str]:
    """Return sentences that say how memory and the time until ready follow from items and users.

    Memory goes by the items that there is room for; see ``rooms``.
    """
    memory = line(grown, MEASURED["peak_bytes"], rooms)
    ready = line(grown, MEASURED["ready_seconds"])
    return [
        f"memory = {memory.base / MIB:,.0f} MiB + {memory.an_item:,.0f} B × rooms + {memory.a_user:,.0f} B × users",
        f"seconds to ready = {ready.base:.1f} + {MILLION * ready.an_item:.1f} × million items"
        f" + {MILLION * ready.a_user:.1f} × million users",
    ]


def draw(grown: Sequence[Grown], costs: Sequence[ListCost], file: Path) -> None:
    """Write the picture: CPU, memory and time until ready, by the number of items and of users.

    Raises
    ------
    AfreshError
        If matplotlib is not installed.
    """
    pictures.require_matplotlib()
    from cycler import cycler
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    least = grown[0].size
    of_items = [one for one in grown if one.size.users == least.users]
    of_users = [one for one in grown if one.size.items == least.items]
    style = {**pictures.STYLE, "axes.prop_cycle": cycler(color=pictures.COLOURS)}
    with rc_context(style):  # type: ignore[arg-type]
        figure = Figure((WIDTH, HEIGHT), facecolor=pictures.GROUND, layout="constrained")
        cpu, memory, ready = (
            figure.add_subplot(1, 3, each + 1, facecolor=pictures.PANEL) for each in range(3)
        )
        _plot(cpu, "a list, by items", {cost.items: cost.cpu_us for cost in costs})
        for axes, name, scale in (
            (cpu, "event_cpu_us", 1),
            (memory, "peak_bytes", GIB),
            (ready, "ready_seconds", 1),
        ):
            what = "an event, " if axes is cpu else ""
            _plot(axes, f"{what}by items", _points(of_items, name, scale, lambda size: size.items))
            _plot(axes, f"{what}by users", _points(of_users, name, scale, lambda size: size.users))
        _plot(
            ready, "derived once, by items", _points(of_items, "derive_seconds", 1, lambda size: size.items)
        )
        _finish(cpu, "CPU, µs")
        _finish(memory, "Memory of a worker, GiB")
        _finish(ready, "Time until a worker is ready, s")
        pictures.save(figure, file)


def _points(
    grown: Sequence[Grown], name: str, scale: float, along: Callable[[Size], int]
) -> dict[int, float]:
    found = {along(one.size): MEASURED[name](one) for one in grown}
    return {place: value / scale for place, value in found.items() if value is not None}


def _plot(axes: Axes, name: str, points: dict[int, float]) -> None:
    if points:
        axes.plot(list(points), list(points.values()), ".-", label=name, linewidth=1.0, markersize=4)


def _finish(axes: Axes, title: str) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_title(title, loc="left", fontsize=7.5, fontweight="bold", color=pictures.INK)
    axes.grid(color=pictures.GRID, linewidth=0.5)
    axes.tick_params(length=0, which="both")
    if axes.lines:
        axes.loglog()
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.legend(frameon=False)
