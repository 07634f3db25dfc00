from __future__ import annotations

import json
from pathlib import Path

import pytest

from afresh.deploy.demo.judge import PlayerJudge
from afresh.deploy.demo.notes import Notes
from afresh.deploy.demo.progress import Progress
from afresh.deploy.demo.scrape import Readings
from afresh.deploy.demo.spotlight import Spotlight
from afresh.deploy.demo.summary import require_writable, summarise
from afresh.state.errors import AfreshError

READINGS = Readings(
    'afresh_rows{table="users"} 7\nafresh_catalogue_items 5\nafresh_catalogue_embedded_items 4\n'
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run_of(events: int) -> Notes:
    """Note one event a second, each answered after 0.1 s; all items but the first two are in the list."""
    clock = Clock()
    notes = Notes(Progress(events, clock), PlayerJudge(["a", "b"], events), Spotlight(clock))
    notes.progress.start()
    for number in range(events):
        clock.now += 1.0
        notes.progress.sent += 1
        notes.progress.answer(0.1, late=False)
        notes.judge.judge(f"u{number}", "a", ["b", "a"] if number >= 2 else [])
    notes.progress.end()
    return notes


def test_the_file_holds_the_figures_of_the_demo(tmp_path: Path) -> None:
    summarise(run_of(4), READINGS, dlq=3).write(tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures == {
        "events": 4,
        "dlq": 3,
        "users": 7,
        "items": 5,
        "embedded": 4,
        "hit_rate_10": 0.5,
        "popularity_hit_rate_10": 1.0,
        "ndcg_10": 0.315465,
        "popularity_ndcg_10": 0.907732,
        "hit_rate_10_first_half": 0.0,
        "hit_rate_10_last_half": 1.0,
        "popularity_hit_rate_10_last_half": 1.0,
        "events_per_second": 1.0,
        "latency_p50_seconds": 0.1,
        "latency_p99_seconds": 0.1,
        "late": 0,
        "links": 0,
        "links_late": 0,
        "links_p50_seconds": None,
        "links_longest_seconds": None,
    }


def test_the_summary_says_how_soon_linked_accounts_had_one_list() -> None:
    notes = run_of(4)
    notes.links.seconds += [0.09, 0.3, 0.1]
    notes.links.late = 1
    made = summarise(notes, READINGS, dlq=0)
    assert (made.links, made.links_late, made.links_p50_seconds, made.links_longest_seconds) == (
        3,
        1,
        0.1,
        0.3,
    )
    assert made.sentences()[-1] == (
        "3 people logged in with a second account: both had the same list after 100 ms (p50), 300 ms at most; "
        "1 not within 10 seconds."
    )


def test_a_figure_that_was_not_measured_is_null_and_not_nan(tmp_path: Path) -> None:
    notes = Notes(Progress(3), PlayerJudge(["a"], 3), Spotlight())
    summary = summarise(notes, READINGS, dlq=0)
    summary.write(tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text(), parse_constant=pytest.fail)
    assert figures["hit_rate_10"] is None
    assert figures["latency_p99_seconds"] is None
    assert "Hit rate: not judged." in summary.sentences()


def test_the_sentences_name_both_hit_rates() -> None:
    words = " ".join(summarise(run_of(4), READINGS, dlq=0).sentences())
    assert "50.0%" in words
    assert "100.0%" in words


def test_an_unwritable_file_is_found_at_the_start(tmp_path: Path) -> None:
    require_writable(tmp_path / "figures.json")
    with pytest.raises(AfreshError, match="cannot be written"):
        require_writable(tmp_path / "no folder" / "figures.json")
