"""Something breaks while users are served: the guard notices, and the lists recover."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from afresh.models import scorers
from afresh.models.arrays import Floats, Indices
from afresh.models.fusion import guard
from afresh.models.fusion.fusion import Fusion, Lesson
from afresh.models.retrieval import asking
from afresh.models.scorers.base import Scorer
from afresh.streams.settings import Settings
from tests.replay.memory import CLOCK, Pipeline
from tests.replay.people import ITEMS, people

pytestmark = pytest.mark.slow

BREAKS_AT = 4000
REPAIRED_AT = 5500
STEP = 40
"""Number of events taken in together."""


class Story:
    """A pipeline with one partition, and the hits of its lists.

    Attributes
    ----------
    hits
        For each event, whether the list held the item taken.
    rollbacks
        Number of rollbacks after every ``STEP`` events.
    """

    def __init__(self, folder: Path) -> None:
        # In memory, all records have the same time. With 0, a snapshot is due as soon as enough was judged.
        settings = Settings(
            _env_file=None, partitions=1, data_dir=folder, list_size=10, snapshot_minutes=1e-9
        )
        self.pipeline = Pipeline(settings)
        self.hits: list[bool] = []
        self.rollbacks: list[int] = []

    async def play(self, happening: dict[int, Callable[[], object]], events: int) -> None:
        """Play this number of events; call each function in ``happening`` just before the event with its number."""
        for number in range(ITEMS):
            self.pipeline.item(f"i{number}")
        await self.pipeline.drain()
        for number, (user, item) in enumerate(islice(people(), events)):
            happening.get(number, lambda: None)()
            made = self.pipeline.store.lists.get(f"web:{user}")
            self.hits.append(made is not None and item in {each.id for each in made.items})
            time = int(CLOCK * 1000) - 40_000_000 + number * 2000
            self.pipeline.event(id=f"e{number}", user=user, item=item, time=time)
            if number % STEP == STEP - 1:
                await self.pipeline.drain()
                self.rollbacks.append(self.pipeline.kept().guard.rollbacks)

    def rate(self, start: int, end: int) -> float:
        return float(np.mean(self.hits[start:end]))

    def went_back(self) -> int:
        """Return the number of the event at which the weights first went back."""
        return STEP * self.rollbacks.index(1)


def broken(scorer: Scorer) -> Scorer:
    """Make a scorer return garbage of all magnitudes."""

    def garbage(asked: asking.Asked, chosen: Indices) -> Floats:
        shape = (len(scorer.priors), len(chosen))
        return np.exp(5 * np.random.default_rng(asked.user.taken).standard_normal(shape, np.float32))

    return replace(scorer, score=garbage, fill=None)


async def test_lists_recover_from_garbage_scores_because_the_weights_go_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbours, transitions, *others = scorers.SCORERS
    garbage = (broken(neighbours), broken(transitions), *others)
    story = Story(tmp_path)
    await story.play(
        {
            BREAKS_AT: lambda: monkeypatch.setattr(scorers, "SCORERS", garbage),
            REPAIRED_AT: monkeypatch.undo,
        },
        events=REPAIRED_AT + 2000,
    )
    before = story.rate(2000, BREAKS_AT)
    assert BREAKS_AT < story.went_back() < REPAIRED_AT
    assert story.rate(BREAKS_AT, story.went_back()) < before / 3
    assert story.rate(REPAIRED_AT + 500, len(story.hits)) > 0.8 * before


def break_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reverse the signs of all weights once ``BREAKS_AT`` examples are counted."""
    learn = Fusion.learn

    def then_broken(self: Fusion, lesson: Lesson) -> bool:
        accepted = learn(self, lesson)
        if self.examples >= BREAKS_AT and not done:
            self.omega *= -1
            done.append(True)
        return accepted

    done: list[bool] = []
    monkeypatch.setattr(Fusion, "learn", then_broken)


async def test_broken_weights_go_back_automatically_and_the_lists_recover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_weights(monkeypatch)
    story = Story(tmp_path)
    await story.play({}, events=BREAKS_AT + 2500)
    assert BREAKS_AT < story.went_back() < BREAKS_AT + 500
    assert story.rate(BREAKS_AT + 1000, BREAKS_AT + 2500) > 0.85 * story.rate(2000, BREAKS_AT)
    assert story.rollbacks[-1] == 1


async def test_without_the_guard_broken_weights_spoil_thousands_of_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_weights(monkeypatch)
    monkeypatch.setattr(guard, "ALARM", float("inf"))
    story = Story(tmp_path)
    await story.play({}, events=BREAKS_AT + 2500)
    assert story.rate(BREAKS_AT + 1000, BREAKS_AT + 2500) < 0.5 * story.rate(2000, BREAKS_AT)
