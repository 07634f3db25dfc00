"""Draws a dashboard as a picture, with matplotlib, from what a Prometheus answers: Grafana's panels without Grafana."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from afresh.deploy.monitoring.answers import Line, Stretch
from afresh.deploy.monitoring.grafana import IN_A_ROW
from afresh.deploy.monitoring.panels import Dashboard, Panel
from afresh.models.arrays import Doubles
from afresh.state.errors import AfreshError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

WIDTH, ROW_HEIGHT, HEAD = 9.0, 2.05, 0.35
"""Width of a picture, height of a row of panels, and of the title above, in inches."""

DOTS, SHADES = 200, 96
"""Dots to an inch, twice as many as a page shows, and colours of a picture: so it takes 20 to 120 kB."""

GROUND, PANEL, GRID, INK, FAINT = "#0f1115", "#20242b", "#3a3f47", "#d8d9da", "#a6aab2"
"""Colours as those of Grafana's dark theme: a picture with a ground of its own is legible on any page."""

COLOURS = (
    "#73bf69",
    "#f2cc0c",
    "#5794f2",
    "#ff9830",
    "#f2495c",
    "#b877d9",
    "#37872d",
    "#8ab8ff",
    "#29c5c0",
    "#c4162a",
)
LEGEND_ROWS, LEGEND_WIDTH = 5, 58
"""Most rows of a legend, and letters in a row."""

ROOM = 0.04
"""Share of its height that a panel leaves free above and below its lines."""

MOST_TIMES = 5
"""Times on an axis at most: more would run into each other."""

TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
"""What may lie between two times on an axis, in seconds; or any number of days."""

SHORT_MINUTES, DAY_MINUTES = 5, 24 * 60
"""Below the first, ticks are less than a minute apart; from the second on, they lie in several days."""

GAP_STEPS = 1.5
"""A line is broken where more steps than this lie between two samples: there Prometheus has none."""

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 6.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
}

SIZES: dict[str, tuple[tuple[float, str], ...]] = {
    "s": ((1.0, " s"), (1e-3, " ms")),
    "ops": ((1e3, "K/s"), (1.0, "/s")),
    "bytes": ((2.0**30, " GiB"), (2.0**20, " MiB"), (2.0**10, " KiB"), (1.0, " B")),
    "percentunit": ((0.01, "%"),),
    "short": ((1e6, "M"), (1e3, "K"), (1.0, "")),
}
"""How a value of each unit of the panels is written: sizes, from the largest, each with its sign."""


def require_matplotlib() -> None:
    """Raise AfreshError where there is no matplotlib."""
    try:
        import matplotlib.figure as _  # noqa: F401 - whether it can be imported is the question
    except ImportError as error:
        raise AfreshError("pictures are drawn by matplotlib; install it: pip install matplotlib") from error


def draw(
    dashboard: Dashboard, lines_of: Callable[[Panel], Sequence[Line]], over: Stretch, file: Path
) -> None:
    """Write the picture of a dashboard.

    Parameters
    ----------
    dashboard
        The dashboard.
    lines_of
        Returns the lines of a panel.
    over
        The stretch of time that is shown.
    file
        PNG file to write.

    Raises
    ------
    AfreshError
        If matplotlib is not installed.
    OSError
        If the file cannot be written.
    """
    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = -(-len(dashboard.panels) // IN_A_ROW)
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure((WIDTH, rows * ROW_HEIGHT + HEAD), facecolor=GROUND, layout="constrained")
        figure.suptitle(dashboard.title, x=0.012, ha="left", fontsize=10, fontweight="bold")
        for number, panel in enumerate(dashboard.panels):
            axes = figure.add_subplot(rows, IN_A_ROW, number + 1, facecolor=PANEL)
            _draw_panel(axes, panel, lines_of(panel), over)
        save(figure, file)


def save(figure: Figure, file: Path) -> None:
    """Write a figure as a PNG of few colours."""
    from PIL import Image

    drawn = BytesIO()
    figure.savefig(drawn, dpi=DOTS, format="png")
    Image.open(drawn).convert("RGB").quantize(
        SHADES, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
    ).save(file, "png", optimize=True)


def _draw_panel(axes: Axes, panel: Panel, lines: Sequence[Line], over: Stretch) -> None:
    axes.set_title(panel.title, loc="left", fontsize=7.5, fontweight="bold", color=INK)
    axes.grid(color=GRID, linewidth=0.5)
    axes.tick_params(length=0, labelsize=6)
    for side in axes.spines.values():
        side.set_visible(False)
    drawn = [
        _draw_line(axes, line, over.step, COLOURS[number % len(COLOURS)]) for number, line in enumerate(lines)
    ]
    _scale(axes, panel.unit, over)
    if lines:
        _legend(axes, drawn, [line.name for line in lines])
    else:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color=FAINT)


def _draw_line(axes: Axes, line: Line, step: float, colour: str) -> Line2D:
    times, values = broken(line, step)
    (drawn,) = axes.plot(_dates(times), values, color=colour, linewidth=1.0)
    # A sample without neighbours makes no line, and would not be seen.
    alone = lonely(values)
    axes.plot(_dates(times[alone]), values[alone], ".", color=colour, markersize=2.5)
    return drawn


def broken(line: Line, step: float) -> tuple[Doubles, Doubles]:
    """Return times and values of a line, with a NaN in each gap, so that nothing is drawn across it.

    Examples
    --------
    >>> times = np.array([0.0, 1.0, 5.0])
    >>> broken(Line("a", times, times), 1.0)[1].tolist()
    [0.0, 1.0, nan, 5.0]
    """
    gaps = np.flatnonzero(np.diff(line.times) > GAP_STEPS * step) + 1
    return np.insert(line.times, gaps, line.times[gaps]), np.insert(line.values, gaps, np.nan)


def lonely(values: Doubles) -> npt.NDArray[np.bool_]:
    """Tell which values have no neighbour that is a number.

    Examples
    --------
    >>> lonely(np.array([1, np.nan, 2, 3])).tolist()
    [True, False, False, False]
    """
    there = np.isfinite(values)
    around = np.concatenate(([False], there, [False]))
    return there & ~around[:-2] & ~around[2:]


def _dates(times: Doubles) -> npt.NDArray[np.datetime64]:
    return (times * 1000).astype("datetime64[ms]")


def _scale(axes: Axes, unit: str, over: Stretch) -> None:
    from matplotlib.dates import DateFormatter
    from matplotlib.ticker import FuncFormatter

    axes.set_xlim(*_dates(np.array([over.begin, over.end])))
    axes.set_xticks(_dates(times_of(over)))
    axes.xaxis.set_major_formatter(DateFormatter(clock_of(over)))  # type: ignore[no-untyped-call]
    low, high = axes.dataLim.intervaly if np.isfinite(axes.dataLim.intervaly).all() else (0.0, 1.0)
    # As in Grafana, 0 is shown: a line that trembles must not look like one that leaps.
    bottom, top = min(low, 0.0), high if high > 0 else 1.0
    room = ROOM * (top - bottom)
    size, sign = size_of(unit, top)
    axes.set_ylim(bottom - room, top + room)
    axes.set_yticks(size * ticks(bottom / size, (top + room) / size))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value / size:g}{sign}" if value else "0")
    )


def times_of(over: Stretch) -> Doubles:
    """Return the times to write below a stretch, ``MOST_TIMES`` at most.

    Examples
    --------
    >>> times_of(Stretch(50.0, 170.0, 1.0)).tolist()
    [60.0, 90.0, 120.0, 150.0]
    """
    least = (over.end - over.begin) / MOST_TIMES
    day = TIME_STEPS[-1]
    step = next((each for each in TIME_STEPS if each >= least), day * math.ceil(least / day))
    first = math.ceil(over.begin / step) * step
    return np.arange(float(first), over.end, step)


def clock_of(over: Stretch) -> str:
    """Return how times of a stretch are written, as ``strftime`` takes it: neighbours must not look the same.

    Examples
    --------
    >>> clock_of(Stretch(0, 120, 1)), clock_of(Stretch(0, 3600, 1))
    ('%H:%M:%S', '%H:%M')
    """
    minutes = (over.end - over.begin) / 60
    if minutes < SHORT_MINUTES:
        return "%H:%M:%S"
    return "%H:%M" if minutes < DAY_MINUTES else "%d. %H:%M"


def ticks(low: float, high: float) -> Doubles:
    """Return round numbers within an interval."""
    from matplotlib.ticker import MaxNLocator

    found = np.asarray(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high), np.float64)
    return found[(found >= low) & (found <= high)]


def size_of(unit: str, largest: float) -> tuple[float, str]:
    """Return by how much to divide the values of a panel, and the sign behind them.

    Examples
    --------
    >>> size_of("s", 0.3), size_of("bytes", 3e6), size_of("percentunit", 0.2)
    ((0.001, ' ms'), (1048576.0, ' MiB'), (0.01, '%'))
    """
    sizes = SIZES[unit]
    return next((each for each in sizes if each[0] <= largest), sizes[-1])


def _legend(axes: Axes, handles: list[Line2D], names: list[str]) -> None:
    from matplotlib.lines import Line2D

    columns = max(1, min(len(names), LEGEND_WIDTH // (max(map(len, names)) + 5)))
    room = LEGEND_ROWS * columns
    if len(names) > room:
        more = len(names) - (room - 1)
        handles, names = (
            [*handles[: room - 1], Line2D([], [], alpha=0)],
            [*names[: room - 1], f"and {more} more"],
        )
    axes.legend(
        handles, names, ncols=columns, loc="upper left", bbox_to_anchor=(-0.02, -0.12), frameon=False, fontsize=5.8,
        handlelength=1.0, handletextpad=0.5, columnspacing=1.2, labelspacing=0.25, borderaxespad=0.0,
    )  # fmt: skip
