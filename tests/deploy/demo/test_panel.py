from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from rich.console import Console

from afresh.deploy.demo.judge import PlayerJudge
from afresh.deploy.demo.notes import Notes
from afresh.deploy.demo.panel import View, line, panel, picture
from afresh.deploy.demo.progress import Progress
from afresh.deploy.demo.scrape import Readings
from afresh.deploy.demo.spotlight import Spotlight
from tests.deploy.demo.making import TITLES, notes_of_a_run

METRICS = """afresh_rows{table="users"} 1943
afresh_rows{table="content"} 5
afresh_catalogue_items 200
afresh_catalogue_embedded_items 150
afresh_lag_records{topic="afresh.events"} 31
afresh_lag_records{topic="afresh.examples"} 4
"""


@pytest.fixture
def view() -> View:
    return View("films", "Kafka 4 · Valkey 9", TITLES, notes_of_a_run(), Readings(METRICS), 1_234.0)


def drawn(view: View, width: int = 108) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(panel(view))
    return capture.get()


def test_the_panel_shows_every_figure(view: View) -> None:
    text = drawn(view)
    for words in (
        *("Kafka 4 · Valkey 9", "4 of 2,000 events", "1,234/s", "p50 20 ms, p99 20 ms", "1,943 · 200", "75%"),
        *("events", "31", "examples", "4", "75.0%", "What web:ann was shown", "Fargo", "3 of 4 taken"),
    ):
        assert words in text


def test_the_item_taken_is_highlighted_and_its_title_is_no_markup(view: View) -> None:
    (row,) = [row for row in drawn(view).splitlines() if "◀ taken" in row]
    assert "2 Alien [1979]" in row


def test_a_panel_without_any_event_can_be_drawn() -> None:
    notes = Notes(Progress(0), PlayerJudge([], 0), Spotlight())
    empty = View("", "", {}, notes, Readings(), 0.0)
    assert "not judged" in drawn(empty, width=80)
    assert "hit rate not judged" in line(empty)


def test_a_plain_line_holds_the_same_figures(view: View) -> None:
    assert line(view) == (
        "4 of 2,000 events, 1,234 events/s, event to Redis p50 20 ms, p99 20 ms, lag 35, "
        "1,943 users, 200 items, 75% embedded, hit rate 75.0% (popularity 100.0%)"
    )


def test_the_picture_is_an_svg_that_fetches_nothing(view: View, tmp_path: Path) -> None:
    picture(view, tmp_path / "panel.svg")
    text = (tmp_path / "panel.svg").read_text("utf-8")
    assert ET.fromstring(text).tag.endswith("svg")
    assert "Fargo" in text
    assert re.findall(r"url\((?!#)|@import|@font-face", text) == []
