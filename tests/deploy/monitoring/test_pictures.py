from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from afresh.deploy.monitoring import pictures
from afresh.deploy.monitoring.answers import Line, Stretch, lines
from afresh.deploy.monitoring.dashboards import DASHBOARDS
from afresh.deploy.monitoring.panels import Dashboard, Panel
from afresh.deploy.monitoring.pictures import DOTS, HEAD, ROW_HEIGHT, SIZES, WIDTH, draw, ticks
from afresh.state.errors import AfreshError
from tests.deploy.monitoring.making import OVER, PANEL, Canned, series

BOARD = Dashboard("afresh-x", "afresh: x", (PANEL,) * 4)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures as they are when they are written."""
    found: list[Figure] = []
    save = pictures.save

    def keep(figure: Figure, file: Path) -> None:
        found.append(figure)
        save(figure, file)

    monkeypatch.setattr(pictures, "save", keep)
    return found


def panel_of(figures: Sequence[Figure]) -> Any:
    (figure,) = figures
    return figure.axes[0]


def draw_panel(tmp_path: Path, *found: dict[str, Any], panel: Panel = PANEL) -> None:
    draw(
        Dashboard("afresh-x", "afresh: x", (panel,)),
        partial(lines, Canned(*found), OVER),
        OVER,
        tmp_path / "x.png",
    )


def test_a_picture_has_three_panels_to_a_row(tmp_path: Path) -> None:
    file = tmp_path / "a picture.png"
    draw(BOARD, partial(lines, Canned(series("1", "2", kind="view")), OVER), OVER, file)
    written = file.read_bytes()
    assert written.startswith(b"\x89PNG")
    size = struct.unpack(">II", written[16:24])
    assert size == (round(WIDTH * DOTS), round((2 * ROW_HEIGHT + HEAD) * DOTS))


def test_a_panel_has_its_title_its_lines_their_names_and_its_unit(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    draw_panel(tmp_path, series("0", "40", "80", kind="view"), series("1", "1", "1", kind="click"))
    axes = panel_of(drawn)
    assert axes.get_title("left") == "Events"
    assert [each.get_text() for each in axes.get_legend().get_texts()] == ["view", "click"]
    assert [each.get_text() for each in axes.get_yticklabels()] == ["0", "25/s", "50/s", "75/s"]


def test_a_panel_without_data_says_so(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_panel(tmp_path)
    axes = panel_of(drawn)
    assert [each.get_text() for each in axes.texts] == ["no data"]
    assert axes.get_legend() is None


@pytest.mark.parametrize("values", [("NaN", "NaN"), ("+Inf",), ("0", "0")])
def test_what_has_no_height_is_drawn_on_an_axis_that_has_one(
    values: Sequence[str], tmp_path: Path, drawn: list[Figure]
) -> None:
    draw_panel(tmp_path, series(*values, kind="view"))
    low, high = panel_of(drawn).get_ylim()
    assert low < 0 < 1 < high < 2


def test_a_sample_alone_is_a_dot(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_panel(tmp_path, series("7", kind="view"))
    line, dot = panel_of(drawn).lines
    assert (line.get_marker(), dot.get_marker()) == ("None", ".")
    assert dot.get_ydata().tolist() == [7]


def test_where_prometheus_has_no_samples_no_line_is_drawn(tmp_path: Path, drawn: list[Figure]) -> None:
    gap = series("1", "1", kind="view")
    gap["values"] += series("1", "1", begin=1100.0)["values"]
    draw_panel(tmp_path, gap)
    line, dots = panel_of(drawn).lines
    assert np.isnan(line.get_ydata()).tolist() == [False, False, True, False, False]
    assert dots.get_ydata().size == 0


def test_values_below_zero_are_shown(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_panel(tmp_path, series("-1", "2", kind="view"))
    assert panel_of(drawn).get_ylim()[0] < -1


def test_a_legend_that_would_not_fit_says_how_many_lines_it_leaves_out(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    draw_panel(tmp_path, *(series("1", "2", kind=f"kind-{number:04}" * 5) for number in range(20)))
    *_, last = (each.get_text() for each in panel_of(drawn).get_legend().get_texts())
    assert last == "and 16 more"


def test_a_series_without_labels_is_drawn_without_a_name(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_panel(tmp_path, series("1", "2"))
    assert panel_of(drawn).lines[0].get_ydata().tolist() == [1, 2]


@pytest.mark.parametrize("minutes", [0.5, 1, 2, 3, 5, 8, 12, 20, 45, 100, 300, 1000, 3000])
def test_times_do_not_run_into_each_other(minutes: float, tmp_path: Path, drawn: list[Figure]) -> None:
    nothing: list[Line] = []
    over = Stretch(1.8e9, 1.8e9 + 60 * minutes, 1.0)
    draw(BOARD, lambda panel: nothing, over, tmp_path / "x.png")
    low, high = panel_of(drawn).get_xlim()
    labels = panel_of(drawn).get_xticklabels()
    shown = [each for each in labels if low <= each.get_position()[0] <= high]
    boxes = [each.get_window_extent(dpi=DOTS) for each in shown]
    assert len(boxes) >= 2
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_the_units_of_all_panels_are_known() -> None:
    assert {panel.unit for board in DASHBOARDS for panel in board.panels} <= SIZES.keys()


def test_ticks_lie_within_the_interval() -> None:
    assert ticks(0.0, 1.04).tolist() == [0, 0.5, 1]


def test_without_matplotlib_the_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    nothing: list[Line] = []
    with pytest.raises(AfreshError, match="install it: pip install matplotlib"):
        draw(BOARD, lambda panel: nothing, OVER, tmp_path / "x.png")
