"""The first steps of the weights over genuine Kafka: the popular list in Redis goes on as before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from afresh.deploy.demo.scrape import Page
from afresh.models.fusion.fusion import BATCH
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment, learned, wait

ITEMS = 60
TAKEN = 40
"""Number of the items that were taken before the start; the first ones most often."""

BEFORE = 4000


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings.model_copy(update={"partitions": 1}), tmp_path) as each:
        yield each


def visit(made: Deployment, *items: int) -> None:
    """Let one new user after the other view an item."""
    for item in items:
        value = msgspec.json.encode(made.next_event(f"visitor-{made.sent}", f"i{item}"))
        made.producer.send(made.topics.events.name, value, b"web:visitor")
    made.producer.flush()


def judged(page: Page) -> int:
    return page.read().total("afresh_judged_examples", slice="all")


def remade(made: Deployment) -> list[int]:
    """Wait until the popular list was made again, and return its items."""
    before = made.popular()
    made.item("i0", text=f"described anew after event {made.sent}")

    def again() -> list[int]:
        found = made.popular()
        if found is None or (before is not None and found.generated_at == before.generated_at):
            return []
        return [int(item.id[1:]) for item in found.items]

    return wait(again, "a new popular list")


def test_twenty_first_visitors_of_one_new_item_raise_no_item_that_nobody_took(made: Deployment) -> None:
    for number in range(ITEMS):
        made.item(f"i{number}")
    visit(made, *(min(number % TAKEN, number % (TAKEN - 7)) for number in range(BEFORE)))
    with made.running(made.process()) as page:
        wait(lambda: learned(page.read()) == BEFORE, "all events to be learned")
        wait(lambda: max(remade(made)[:8]) < TAKEN, "the popular list to hold what was taken")
        known, weight = judged(page), page.read().value("afresh_fusion_weight", scorer="popular")
        visit(made, *[ITEMS - 1] * BATCH)
        wait(lambda: judged(page) == known + BATCH, "the visitors to be judged")
        wait(
            lambda: page.read().value("afresh_fusion_weight", scorer="popular") != weight,
            "the worker to follow what was learned",
        )
        assert max(remade(made)[:8]) < TAKEN
