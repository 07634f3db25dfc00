from pathlib import Path
from typing import Any

import msgspec
import pytest

from afresh.state.records import EXAMPLE_VERSION, Example
from afresh.state.rows import behaviour
from afresh.state.versions import RowVersionError
from afresh.streams.kafka.limits import BATCH_BYTES
from afresh.streams.kafka.sender import OutgoingRecord
from afresh.streams.messages import encode
from afresh.streams.runs.run import RunDroppedError
from afresh.streams.settings import Settings
from tests.replay.memory import Pipeline
from tests.state.making import example
from tests.streams.making import packed_size


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(Settings(_env_file=None, partitions=1, data_dir=tmp_path, list_size=5))


async def sizes_of_changes(pipeline: Pipeline, examples: list[Example]) -> list[int]:
    """Learn examples as one run, and return the sizes of the changes that are written."""
    topic = pipeline.topics.examples.name
    sizes: list[int] = []
    runner: Any = pipeline.agents[topic].__self__._runner  # type: ignore[attr-defined]
    write = runner.write

    async def measured(run: Any, outgoing: Any, table: Any, change: Any) -> None:
        sizes.append(packed_size(change.records()))
        await write(run, outgoing, table, change)

    runner.write = measured
    for each in examples:
        pipeline.log.append(topic, 0, OutgoingRecord(each.item.encode(), encode(each)))
    await pipeline.step(topic, 0, len(examples))
    return sizes


async def test_a_long_run_is_written_in_parts_that_fit_a_record_batch(pipeline: Pipeline) -> None:
    sizes = await sizes_of_changes(pipeline, [example(f"i{n}", "h", offset=n) for n in range(2000)])
    assert pipeline.tables["behaviour"].count_rows() == 2000
    assert max(sizes) < BATCH_BYTES * 0.9
    assert len(sizes) < 40


@pytest.mark.parametrize(("waiting", "short"), [(0, 0), (31, 0), (0, 2015)])
async def test_rows_of_long_ids_are_written_in_parts_that_fit_a_record_batch(
    pipeline: Pipeline, waiting: int, short: int
) -> None:
    names = [f"{n:04}" + "🎬" * 508 * (n >= short) for n in range(short + 1000)]
    examples = [example(name, "h", offset=n) for n, name in enumerate(names)]
    sizes = await sizes_of_changes(pipeline, examples[: short + waiting]) if short + waiting else []
    sizes += await sizes_of_changes(pipeline, examples[short + waiting :])
    assert pipeline.tables["behaviour"].count_rows() == len(names)
    assert max(sizes) < BATCH_BYTES * 0.9


async def test_an_example_delivered_again_changes_nothing(pipeline: Pipeline) -> None:
    await sizes_of_changes(pipeline, [example("a", "b", offset=0), example("c", offset=1)])
    before = pipeline.rows()["behaviour"]
    topic = pipeline.topics.examples.name
    pipeline.log.partitions[topic, 0].extend(pipeline.log.partitions[topic, 0][:2])
    await pipeline.step(topic, 0, 10)
    assert pipeline.rows()["behaviour"] == before


async def test_a_dropped_run_leaves_no_traces_in_what_is_learned(pipeline: Pipeline) -> None:
    topic = pipeline.topics.examples.name
    pipeline.log.append(topic, 0, OutgoingRecord(b"a", encode(example("a", "b"))))
    runner: Any = pipeline.agents[topic].__self__._runner  # type: ignore[attr-defined]

    def moved(_: str) -> bool:
        raise RunDroppedError

    runner.crash = moved
    with pytest.raises(RunDroppedError):
        await pipeline.step(topic, 0, 10)
    runner.crash = lambda _: False
    await pipeline.tables["behaviour"].on_rebalance(set(), set(), set())
    await pipeline.step(topic, 0, 10)
    row = behaviour.unpack([pipeline.rows()["behaviour"][0][b"a"]])[0]
    assert int(row["examples"]) == 1


async def test_an_example_of_0_1_0_that_is_under_way_is_learned(pipeline: Pipeline) -> None:
    topic = pipeline.topics.examples.name
    fields = msgspec.to_builtins(example("a", "b"), builtin_types=(bytes,))[:8]
    pipeline.log.append(topic, 0, OutgoingRecord(b"a", msgspec.msgpack.encode(fields)))
    await pipeline.step(topic, 0, 10)
    assert behaviour.unpack([pipeline.rows()["behaviour"][0][b"a"]])[0]["examples"] == 1


async def test_an_example_of_a_newer_version_is_refused(pipeline: Pipeline) -> None:
    topic = pipeline.topics.examples.name
    newer = msgspec.structs.replace(example("a", "b"), version=EXAMPLE_VERSION + 1)
    pipeline.log.append(topic, 0, OutgoingRecord(b"a", encode(newer)))
    with pytest.raises(RowVersionError, match=r"An example has version 3; this program knows 2"):
        await pipeline.step(topic, 0, 10)
    assert not pipeline.rows()["behaviour"]
