"""Items that bring vectors of their own: what lists make of them, from the record to the list."""

from pathlib import Path

import pytest

from afresh.models.scorers.brought import SCORER
from afresh.state.rows import content
from afresh.streams.kafka.sender import partition_of
from afresh.streams.settings import Settings
from tests.replay.memory import Log, Pipeline

(NAME,) = SCORER.priors
PIG, SHIP = [0.9, 0.1, 0.0], [0.0, 0.1, 0.9]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None, partitions=2, data_dir=tmp_path, encoder="none", item_vectors={"image": 3}
    )


async def farm(settings: Settings) -> Pipeline:
    """Let Ann take two items with pigs on their pictures."""
    pipeline = Pipeline(settings)
    for name, image in (("babe", PIG), ("gordy", PIG), ("pig", PIG), ("alien", SHIP)):
        pipeline.item(name, title="", vectors={"image": image})
    pipeline.item("blank", title="")
    await pipeline.drain()
    pipeline.event(id="e1", item="babe")
    pipeline.event(id="e2", item="gordy")
    await pipeline.drain()
    return pipeline


def served(pipeline: Pipeline) -> dict[str, dict[str, float]]:
    """Return the parts of Ann's items, the best item first."""
    return {item.id: item.parts for item in pipeline.store.lists["web:ann"].items}


def row_of(pipeline: Pipeline, item: str) -> content.ContentRow:
    rows = pipeline.rows()["content"][partition_of(item.encode(), pipeline.settings.partitions)]
    return content.unpack(rows[item.encode()])


async def test_of_items_without_a_text_one_whose_picture_is_like_those_taken_comes_first(
    settings: Settings,
) -> None:
    lists = served(await farm(settings))
    assert next(iter(lists)) == "pig"
    assert lists["pig"][NAME] > 0
    assert lists["blank"].get(NAME, 0) == 0


async def test_without_a_declared_kind_pictures_say_nothing(settings: Settings) -> None:
    lists = served(await farm(settings.model_copy(update={"item_vectors": {}})))
    assert all(parts.get(NAME, 0) == 0 for parts in lists.values())


async def test_a_kind_that_is_declared_later_is_there_already(settings: Settings) -> None:
    before = await farm(settings.model_copy(update={"item_vectors": {}}))
    log: Log = before.log
    after = Pipeline(settings, log, before.committed)
    assert (after.catalogue.items().brought_scales > 0).sum() == 4


async def test_a_new_record_replaces_all_vectors_that_the_item_brought(settings: Settings) -> None:
    pipeline = await farm(settings)
    pipeline.item("pig", title="", vectors={"sound": [1.0]})
    await pipeline.drain()
    assert [each.kind for each in row_of(pipeline, "pig").vectors] == ["sound"]
    pipeline.feed(pipeline.topics.items.name, "babe", None)
    await pipeline.drain()
    assert row_of(pipeline, "babe").vectors == []
    assert (pipeline.catalogue.items().brought_scales > 0).sum() == 2
