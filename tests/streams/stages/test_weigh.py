"""The stage that learns the weights: one order of all examples, each counted once."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from afresh.models.fusion.fusion import BATCH
from afresh.state.errors import AfreshError
from afresh.state.judged import examples
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.kafka.sender import OutgoingRecord
from afresh.streams.messages import EXAMPLES_KEY
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION
from tests.replay.memory import CrashError, Pipeline

EVENTS = 240


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, partitions=3, data_dir=tmp_path, list_size=5)


def fill(pipeline: Pipeline) -> None:
    """Feed items, and users who come again and again."""
    rng = random.Random(5)
    for number in range(30):
        pipeline.item(f"i{number}")
    for number in range(EVENTS):
        user, item = rng.randrange(20), min(int(rng.expovariate(0.2)), 29)
        pipeline.event(
            id=f"e{number}", user=f"u{user}", item=f"i{item}", time=1_699_900_000_000 + 1000 * number
        )


async def played(settings: Settings) -> Pipeline:
    pipeline = Pipeline(settings)
    fill(pipeline)
    await pipeline.drain(lambda: 7)
    return pipeline


async def learned_again(
    settings: Settings, log: list[OutgoingRecord], lengths: random.Random | None
) -> bytes:
    """Learn from a log of judged examples, with runs of any length; return all that is kept."""
    pipeline = Pipeline(settings)
    for record in log:
        pipeline.log.append(pipeline.topics.judged.name, FIRST_PARTITION, record)
    await pipeline.drain(lambda: 1000 if lengths is None else lengths.randint(1, 9))
    return pipeline.kept().pack()


def judged_of(pipeline: Pipeline) -> list[OutgoingRecord]:
    return [
        OutgoingRecord(record.key, record.value)
        for record in pipeline.log.partitions[pipeline.topics.judged.name, FIRST_PARTITION]
    ]


async def test_all_partitions_teach_one_fusion_that_every_list_is_made_with(settings: Settings) -> None:
    pipeline = await played(settings)
    kept = pipeline.kept()
    assert set(kept.sources) == {0, 1, 2}
    assert kept.fusion.examples == sum(each.examples for each in kept.sources.values()) > 200
    assert kept.fusion.version > 0
    assert pipeline.recommender.weights.now.version == kept.fusion.version
    assert (pipeline.recommender.weights.now.omega == kept.fusion.omega).all()
    assert pipeline.recommender.weights.age_seconds() == 0
    assert all(not pipeline.log.partitions[pipeline.topics.judged.name, partition] for partition in (1, 2))
    for partition in range(3):
        change = pipeline.tables["users"].change(partition)
        assert change.agent_state == b"", "nothing of the weights is left in the partitions of users"


async def test_what_is_learned_depends_on_the_order_of_the_log_alone(settings: Settings) -> None:
    pipeline = await played(settings)
    log = judged_of(pipeline)
    for lengths in (None, random.Random(1), random.Random(2)):
        assert await learned_again(settings, log, lengths) == pipeline.kept().pack()


async def test_records_that_come_again_in_other_pieces_count_once(settings: Settings) -> None:
    pipeline = await played(settings)
    log, again = judged_of(pipeline), list[OutgoingRecord]()
    for number, record in enumerate(log):
        again.append(record)
        if number % 3 == 0:
            said = examples.unpack(record.value or b"")
            half = len(said.places()) // 2
            cut = msgspec.structs.replace(
                said, offsets=said.offsets[8 * half :], packed=said.examples()[half:].tobytes()
            )
            again += [OutgoingRecord(EXAMPLES_KEY, msgspec.msgpack.encode(cut)), record]
    assert await learned_again(settings, again, random.Random(3)) == pipeline.kept().pack()


@pytest.mark.parametrize("point", ["weigh: sent", "weigh: acknowledged", "weigh: written", "profile: sent"])
async def test_a_worker_killed_anywhere_counts_every_example_once(settings: Settings, point: str) -> None:
    pipeline = Pipeline(settings, crash=lambda here: here == point and chance.random() < 0.2)
    chance, log, committed = random.Random(4), pipeline.log, pipeline.committed
    fill(pipeline)
    crashes = 0
    while True:
        try:
            await pipeline.drain(lambda: 7)
            break
        except CrashError:
            crashes += 1
            pipeline = Pipeline(
                settings, log, committed, crash=lambda here: here == point and chance.random() < 0.2
            )
    assert crashes
    kept = pipeline.kept()
    whole = await played(settings)
    assert {number: each.examples for number, each in kept.sources.items()} == {
        number: each.examples for number, each in whole.kept().sources.items()
    }
    assert kept.verdicts.unjudged + kept.verdicts.totals()["all"][0] == kept.fusion.examples


async def test_while_nobody_learns_lists_go_on_with_the_weights_that_stand(settings: Settings) -> None:
    pipeline = await played(settings)
    stands = pipeline.recommender.weights.now.version
    pipeline.agents.pop(pipeline.topics.judged.name)
    for number in range(3 * BATCH):
        pipeline.event(id=f"late{number}", user="u1", item=f"i{number % 30}", time=1_699_990_000_000 + number)
    await pipeline.drain()
    made = pipeline.store.lists["web:u1"]
    assert (made.last_event, made.weights) == (f"late{3 * BATCH - 1}", stands)


async def test_a_record_of_somebody_else_ends_the_process(settings: Settings) -> None:
    pipeline = Pipeline(settings)
    pipeline.log.append(pipeline.topics.judged.name, FIRST_PARTITION, OutgoingRecord(b"k", b"{broken"))
    with pytest.raises(AfreshError, match="layout that this program does not know"):
        await pipeline.drain()


async def test_the_row_that_workers_follow_is_written_with_every_change(settings: Settings) -> None:
    pipeline = await played(settings)
    keys = [record.key for record in pipeline.log.partitions[pipeline.topics.weights.name, FIRST_PARTITION]]
    assert keys.count(b"weights") == keys.count(PARTITION_ROW_KEY) > 1
