"""The weights take their first steps: the popular list goes on as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from afresh.models.fusion.fusion import BATCH
from afresh.streams.settings import Settings
from tests.replay.memory import CLOCK, Pipeline

pytestmark = pytest.mark.slow

ITEMS = 60
TAKEN = 40
"""Number of the items that were taken before the first lists were made; the first ones most often."""

BEFORE = 4000
START_MS = int(CLOCK * 1000) - 40_000_000


class Shop:
    """A pipeline with one partition, whose users all come for the first time."""

    def __init__(self, folder: Path) -> None:
        self.pipeline = Pipeline(Settings(_env_file=None, partitions=1, data_dir=folder))
        self.visits = 0
        for number in range(ITEMS):
            self.pipeline.item(f"i{number}")

    async def visit(self, *items: int) -> None:
        """Let one new user after the other view an item. All of them have seen the same popular list."""
        for item in items:
            self.visits += 1
            time = START_MS + 1000 * self.visits
            name = f"visit-{self.visits}"
            self.pipeline.event(id=name, user=name, item=f"i{item}", time=time)
        await self.pipeline.drain()

    def popular(self) -> list[int]:
        """Make the popular list, as the worker of the first partition does once a second."""
        made = self.pipeline.recommender._lister.popular(self.pipeline.recommender.weights.now)
        self.pipeline.recommender._served.remember_popular(made)
        ((popular, _),) = made
        return [int(item.id[1:]) for item in popular.items]


@pytest.fixture
async def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path)
    await made.visit(*(min(number % TAKEN, number % (TAKEN - 7)) for number in range(BEFORE)))
    return made


async def test_twenty_first_visitors_of_one_new_item_leave_the_popular_list_as_it_was(shop: Shop) -> None:
    before = shop.popular()
    assert max(before[:8]) < TAKEN
    for _ in range(BATCH):
        await shop.visit(ITEMS - 1)
        now = shop.popular()
        assert now[:8] == before[:8]


@pytest.mark.parametrize("batches", [5, 20])
async def test_a_rush_on_one_new_item_raises_no_item_that_nobody_took(shop: Shop, batches: int) -> None:
    shop.popular()
    await shop.visit(*[ITEMS - 1] * (BATCH * batches))
    assert set(shop.popular()[:8]) <= {*range(TAKEN), ITEMS - 1}
