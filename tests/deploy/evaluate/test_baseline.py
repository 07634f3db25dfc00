from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afresh.deploy.evaluate import baseline
from afresh.deploy.evaluate.baseline import BaselineRun, Scores, Taken
from afresh.deploy.evaluate.log import read_log
from afresh.deploy.evaluate.trials import trials_of
from afresh.models.arrays import Halves
from afresh.models.metrics.evaluation import MISS
from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings
from tests.deploy.evaluate.making import event, lines


class Fixed:
    """A baseline with fixed scores, which records its calls."""

    def __init__(self, *scores: float) -> None:
        self._scores = np.array(scores)
        self.learned: list[Taken] = []
        self.asked: list[tuple[int, int, int]] = []

    def learn(self, taken: Taken) -> None:
        self.learned.append(taken)

    def scores(self, user: int, items: int, now: int) -> Scores:
        self.asked.append((user, items, len(self.learned)))
        return self._scores[:items]


def ranks(fixed: Fixed, taken: str, *, keep_seen: bool = False) -> list[int]:
    events = lines(event(number, f"u{number % 2}", item) for number, item in enumerate(taken))
    items = lines({"id": name, "domain": "films"} for name in "abc")
    log = read_log(Settings(), events, items)
    ranking = BaselineRun(fixed, trials_of(log, 0), 3, keep_seen=keep_seen).run(log, lambda _: None)
    return [int(rank) for rank in ranking.ranks]


def test_ties_and_nan_count_against_a_baseline() -> None:
    assert ranks(Fixed(1, 1, 1), "a") == [2]
    assert ranks(Fixed(2, 1, 0), "a") == [0]
    assert ranks(Fixed(2, np.nan, 0), "b") == [2]
    assert ranks(Fixed(2, np.nan, 0), "c") == [2]


def test_items_that_the_user_has_had_are_no_candidates() -> None:
    assert ranks(Fixed(3, 2, 1), "aabb") == [0, 0, 0, 0]
    assert ranks(Fixed(3, 2, 1), "abacc") == [0, 1, MISS, 1, 1]
    assert ranks(Fixed(3, 2, 1), "abacc", keep_seen=True) == [0, 1, 0, 2, 2]


def test_an_event_is_ranked_before_it_is_learned_and_an_unknown_item_is_a_miss() -> None:
    fixed = Fixed(4, 3, 2, 1)
    assert ranks(fixed, "zz") == [MISS, 3]
    assert fixed.asked == [(0, 3, 0), (1, 4, 1)]
    assert [(each.user, each.item) for each in fixed.learned] == [(0, 3), (1, 3)]


class Reading(Fixed):
    """A baseline that also records the texts that it is told."""

    def __init__(self, *scores: float) -> None:
        super().__init__(*scores)
        self.told: list[tuple[int, list[float], int]] = []

    def read(self, item: int, text: Halves) -> None:
        self.told.append((item, text.tolist(), len(self.learned)))


def test_a_baseline_that_reads_is_told_the_text_of_an_item_when_it_becomes_known() -> None:
    items = lines({"id": name, "domain": "films", "title": name} for name in "ab")
    log = read_log(Settings(), lines(event(number, "u", "a") for number in range(2)), items)
    (first, second) = log.announcements
    log = replace(log, announcements=[first, replace(second, time=log.interactions[1].time)])
    reading = Reading(1, 2)
    texts = {"b": np.array([1, 2], np.float16)}
    run = BaselineRun(
        reading, trials_of(log, 0), 3, keep_seen=True, vector_of=lambda item: texts.get(item.title)
    )
    run.run(log, lambda _: None)
    assert reading.told == [(1, [1.0, 2.0], 1)]


def test_a_module_outside_the_project_is_found_by_its_dotted_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_ranker.py").write_text("def make(events):\n    return events\n")
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "ranker.py").write_text("def make(events):\n    return events\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    made: object = baseline.find("own_package.ranker")(7)
    assert made == 7


def test_an_unknown_baseline_is_named_in_the_error() -> None:
    for name in ("guessing", "json.decoder"):
        with pytest.raises(AfreshError, match=f"there is no baseline '{name}'"):
            baseline.find(name)
