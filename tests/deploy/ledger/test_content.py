from pathlib import Path

from msgspec.structs import replace

from afresh.deploy.ledger.report import Report
from afresh.deploy.ledger.served import ListsInRedis
from afresh.state.rows import content
from afresh.streams.kafka.sender import OutgoingRecord, partition_of
from afresh.streams.settings import Settings
from tests.deploy.ledger.making import judged, settings_of
from tests.replay.memory import Pipeline


async def bringing(settings: Settings) -> Pipeline:
    pipeline = Pipeline(settings)
    pipeline.item("i1", vectors={"image": [3, 4], "pose": [1]})
    pipeline.event(id="e1")
    await pipeline.drain()
    return pipeline


def of_rows(report: Report) -> list[str]:
    return [each for each in report.differences if each.startswith("content")]


async def test_lists_are_checked_with_the_vectors_that_items_bring(tmp_path: Path) -> None:
    settings = settings_of(tmp_path).model_copy(update={"item_vectors": {"image": 2}})
    assert not judged(await bringing(settings)).differences


async def test_vectors_that_items_bring_are_recomputed_whatever_kinds_are_declared(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    pipeline = await bringing(settings.model_copy(update={"item_vectors": {"image": 2}}))
    pipeline.settings = settings
    assert not of_rows(judged(pipeline, ListsInRedis({}, {})))


async def test_a_vector_that_an_item_brought_and_its_row_lacks_is_named(tmp_path: Path) -> None:
    pipeline = await bringing(settings_of(tmp_path))
    partition = partition_of(b"i1", pipeline.settings.partitions)
    row = content.unpack(pipeline.rows()["content"][partition][b"i1"])
    cut = content.pack(replace(row, vectors=row.vectors[:1]))
    pipeline.log.append(pipeline.topics.content.name, partition, OutgoingRecord(b"i1", cut))
    (difference,) = of_rows(judged(pipeline))
    assert "the row of item 'i1' is wrong: vectors" in difference
