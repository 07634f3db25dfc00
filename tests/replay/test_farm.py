"""A thousand fake users push one item through the real agents, among the events of real users."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from afresh.models.relations import trust
from afresh.streams.settings import Settings
from tests.replay.memory import CLOCK, Pipeline
from tests.replay.people import ITEMS, USERS, Event, people, tastes

pytestmark = pytest.mark.slow

FAKE_USERS = 1000
TARGET = f"i{ITEMS - 1}"
"""Item of the last taste that hardly anybody takes."""


def fake(disguise: int, seed: int = 1) -> Iterator[Event]:
    """Make fake users, each with popular items as a disguise, before or after the pushed item."""
    draw = random.Random(seed)
    popular = [items[rank] for items, _ in tastes(seed) for rank in range(3)]
    for number in range(FAKE_USERS):
        items = draw.sample(popular, disguise)
        items.insert(draw.randrange(disguise + 1), TARGET)
        for item in items:
            yield f"f{number}", item


def timed(disguise: int, attacked: float) -> list[tuple[int, Event]]:
    """Give times in ms to events: real ones ten minutes apart, the attack spread evenly over the last part of them."""
    real = list(people())
    step = 600_000
    start, end = int(len(real) * (1 - attacked)) * step, len(real) * step
    attack = list(fake(disguise))
    both = [(number * step, event) for number, event in enumerate(real)]
    both += [(start + number * (end - start) // len(attack), event) for number, event in enumerate(attack)]
    return sorted(both, key=lambda each: each[0])


async def share_of_lists(settings: Settings, disguise: int, attacked: float) -> float:
    """Return the share of real users whose list holds the pushed item at the end of the attack."""
    pipeline = Pipeline(settings)
    for number in range(ITEMS):
        pipeline.item(f"i{number}")
    await pipeline.drain()
    events = timed(disguise, attacked)
    start = int(CLOCK * 1000) - events[-1][0]
    for number, (time, (user, item)) in enumerate(events):
        pipeline.event(id=f"e{number}", user=user, item=item, time=start + time)
        if number % 500 == 499:
            await pipeline.drain()
    await pipeline.drain()
    while await pipeline.recommender.refresh(0.0):
        pass
    lists = [each for user, each in pipeline.store.lists.items() if user.startswith("web:r")]
    assert len(lists) == USERS
    return float(np.mean([TARGET in {item.id for item in each.items} for each in lists]))


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, partitions=2, data_dir=tmp_path, list_size=10)


@pytest.mark.parametrize(("disguise", "attacked"), [(3, 0.02), (8, 0.02), (3, 0.3)])
async def test_a_farm_of_fake_users_gets_its_item_into_few_lists(
    plain: Settings, disguise: int, attacked: float
) -> None:
    assert await share_of_lists(plain, disguise, attacked) <= 0.01


async def test_without_trust_the_same_farm_gets_its_item_into_many_lists(
    plain: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "shares", lambda votes, *_: np.ones(len(votes)))
    assert await share_of_lists(plain, 3, 0.02) > 0.1
