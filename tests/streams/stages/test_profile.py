import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afresh.state.keys import key_of
from afresh.state.records import Example, Move
from afresh.state.rows import users
from afresh.streams.kafka.limits import BATCH_BYTES, BatchLimits
from afresh.streams.kafka.sender import Outgoing, OutgoingRecord, Sender, partition_of
from afresh.streams.messages import COMMAND_KEY, encode, example_decoder
from afresh.streams.serving import requests
from afresh.streams.settings import EVERYWHERE, Settings
from tests.replay.memory import CLOCK, Pipeline
from tests.streams.making import FakeProducer, packed_size

START = int(CLOCK * 1000) - 10_000_000


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(Settings(_env_file=None, partitions=1, data_dir=tmp_path, list_size=5))


def examples(pipeline: Pipeline) -> list[Example]:
    found = pipeline.log.values(pipeline.topics.examples.name)
    return [example_decoder.decode(value or b"") for records in found.values() for _, value in records]


def row_of(pipeline: Pipeline, user: str) -> users.UserRow:
    return users.unpack(pipeline.tables["users"].rows[0].get(user.encode()))


async def test_an_example_shows_the_user_just_before_the_event(pipeline: Pipeline) -> None:
    for number, item in enumerate(("a", "b", "c")):
        pipeline.event(id=f"e{number}", item=item, time=START + number * 60_000)
    await pipeline.drain()
    first, _, third = examples(pipeline)
    assert (first.item, first.history, first.times, first.taken) == ("a", b"", b"", 0)
    assert (third.item, third.domain, third.time) == ("c", "films", START + 120_000)
    assert np.frombuffer(third.history, "<u8").tolist() == [key_of("b"), key_of("a")]
    assert np.diff(np.frombuffer(third.times, "<u4").astype(int)).tolist() == [-60]
    assert third.taken == 2


@pytest.mark.parametrize(
    ("kind", "taken", "seen"),
    [("view", 1, 1), ("rating", 1, 1), ("purchase", 1, 1), ("dislike", 0, 1), ("impression", 0, 0)],
)
async def test_the_effect_of_an_event_depends_on_its_type(
    pipeline: Pipeline, kind: str, taken: int, seen: int
) -> None:
    pipeline.event(id="e1", type=kind)
    await pipeline.drain()
    row = row_of(pipeline, "web:ann")
    assert len(examples(pipeline)) == len(users.history_of(row)) == taken
    assert len(users.left_out_of(row, "taken")) == seen
    assert (row.revision, row.last_event, row.domains) == (1, "e1", {"films": 1})


async def test_every_event_requests_a_new_list(pipeline: Pipeline) -> None:
    pipeline.event(id="e1", user="a", type="impression")
    pipeline.event(id="e2", user="b")
    await pipeline.drain()
    assert {user: made.last_event for user, made in pipeline.store.lists.items()} == {
        "web:a": "e1",
        "web:b": "e2",
    }


async def test_an_interaction_delivered_again_changes_nothing(pipeline: Pipeline) -> None:
    pipeline.event(id="e1")
    await pipeline.drain()
    before, lists = pipeline.rows()["users"], dict(pipeline.store.lists)
    topic = pipeline.topics.interactions.name
    pipeline.log.partitions[topic, 0].append(pipeline.log.partitions[topic, 0][0])
    await pipeline.drain()
    assert pipeline.rows()["users"] == before
    assert pipeline.store.lists == lists
    assert len(examples(pipeline)) == 1


async def test_a_repeated_event_that_ingest_missed_is_folded_in_once(tmp_path: Path) -> None:
    pipeline = Pipeline(Settings(_env_file=None, partitions=1, data_dir=tmp_path, deduplication_window=0))
    for _ in range(2):
        pipeline.event(id="e1")
    await pipeline.drain()
    assert len(pipeline.log.partitions[pipeline.topics.interactions.name, 0]) == 2
    assert (row_of(pipeline, "web:ann").revision, len(examples(pipeline))) == (1, 1)


async def test_users_of_different_platforms_are_different_users(pipeline: Pipeline) -> None:
    pipeline.event(id="e1", platform="web", user="ann")
    pipeline.event(id="e2", platform="tv", user="ann")
    await pipeline.drain()
    assert row_of(pipeline, "web:ann").revision == row_of(pipeline, "tv:ann").revision == 1


def measured(pipeline: Pipeline) -> list[int]:
    """Collects the sizes of the changes that profile writes from now on."""
    sizes: list[int] = []
    runner: Any = pipeline.agents[pipeline.topics.interactions.name].__self__._runner  # type: ignore[attr-defined]
    write = runner.write

    async def write_measured(run: Any, outgoing: Any, table: Any, change: Any) -> None:
        sizes.append(packed_size(change.records()))
        await write(run, outgoing, table, change)

    runner.write = write_measured
    return sizes


async def through_ingest(pipeline: Pipeline) -> None:
    while (pipeline.topics.events.name, 0) in set(pipeline.waiting()):
        await pipeline.step(pipeline.topics.events.name, 0, 100_000)


async def test_each_part_of_a_run_waits_until_there_is_room_for_its_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with more users than there is room for goes on, before it is done, as lists of its users are made."""
    monkeypatch.setattr(requests, "USERS_WAITING", 1)
    settings = Settings(_env_file=None, partitions=1, data_dir=tmp_path, list_size=5)
    pipeline = Pipeline(settings, limits=BatchLimits({f"{settings.namespace}.users.changelog": 0}))
    for number in range(3):
        pipeline.event(id=f"e{number}", user=f"u{number}")
    await through_ingest(pipeline)
    running = asyncio.create_task(pipeline.step(pipeline.topics.interactions.name, 0, 3))
    for part in (1, 2, 3):
        for _ in range(20):
            await asyncio.sleep(0)
        assert pipeline.tables["users"].count_rows() == part
        await pipeline.recommender.turn()
    await running
    assert len(pipeline.store.lists) == 3


@pytest.mark.slow
async def test_a_run_of_new_users_is_written_in_parts_that_fit_a_record_batch(pipeline: Pipeline) -> None:
    for number in range(4000):
        pipeline.event(id=f"e{number}", user=f"u{number}")
    await through_ingest(pipeline)
    sizes = measured(pipeline)
    await pipeline.step(pipeline.topics.interactions.name, 0, 4000)
    assert pipeline.tables["users"].count_rows() == 4000
    assert max(sizes) < BATCH_BYTES * 0.9


async def test_rows_that_grow_by_long_names_are_written_in_parts_that_fit_a_record_batch(
    pipeline: Pipeline,
) -> None:
    for number in range(3000):
        pipeline.event(
            id=f"e{number}" + "🎬" * 400, user=f"u{number % 50}" + "🎬" * 400, domain=f"{number}" + "🎬" * 100
        )
    await through_ingest(pipeline)
    sizes = measured(pipeline)
    await pipeline.step(pipeline.topics.interactions.name, 0, 4000)
    assert pipeline.tables["users"].count_rows() == 50
    assert max(sizes) < BATCH_BYTES * 0.9


async def test_thousands_of_events_of_one_user_in_a_run_are_all_folded_in(pipeline: Pipeline) -> None:
    for number in range(4000):
        pipeline.event(id=f"e{number}", item=f"i{number}")
    await through_ingest(pipeline)
    await pipeline.step(pipeline.topics.interactions.name, 0, 4000)
    row = row_of(pipeline, "web:ann")
    assert (row.revision, len(users.left_out_of(row, "taken")), len(examples(pipeline))) == (
        4000,
        4000,
        users.HOURLY_EXAMPLES,
    )


async def test_examples_go_to_the_partition_of_their_item(tmp_path: Path) -> None:
    pipeline = Pipeline(Settings(_env_file=None, partitions=3, data_dir=tmp_path))
    for number in range(20):
        pipeline.event(id=f"e{number}", item=f"i{number}")
    await pipeline.drain()
    for partition, records in pipeline.log.values(pipeline.topics.examples.name).items():
        assert {partition_of(key or b"", 3) for key, _ in records} == {partition}


async def test_outgoing_records_of_a_long_run_are_sent_in_order() -> None:
    """This justifies the runner in memory: batches of one partition go one after the other."""
    outgoing, producer = Outgoing(1), FakeProducer()
    for number in range(10):
        outgoing.add_keyed("examples", b"i", b"%d" % number + bytes(300_000))
    await Sender(producer).send(outgoing)
    assert [int(value[:1]) for value in producer.values("examples")[0] if value] == list(range(10))


@pytest.mark.parametrize("lifting", ["like", "purchase"])
async def test_an_item_disliked_and_later_liked_is_in_lists_again_where_they_may_hold_what_was_taken(
    tmp_path: Path, lifting: str
) -> None:
    pipeline = Pipeline(
        Settings(_env_file=None, partitions=1, data_dir=tmp_path, leave_out={EVERYWHERE: "nothing"})
    )
    for item in ("a", "b", "c"):
        pipeline.item(item)
    await pipeline.drain()
    listed = []
    for number, (kind, item) in enumerate((("view", "a"), ("dislike", "b"), ("view", "b"), (lifting, "b"))):
        pipeline.event(id=f"e{number}", type=kind, item=item, time=START + number)
        await pipeline.drain()
        listed.append("b" in {each.id for each in pipeline.store.lists["web:ann"].items})
    assert listed == [True, False, False, True]


async def test_a_move_asks_for_lists_and_counts_as_no_event_that_somebody_waits_for(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link may be weeks old, as after an upgrade: its age would look like that of a list."""
    asked: dict[str, int] = {}
    pipeline.event(id="e1")
    await pipeline.drain()
    monkeypatch.setattr(pipeline.recommender, "request", lambda _, received: asked.update(received))
    move = encode(Move("merge", 5, 1, "web:ann", "web:ann", "tv:1"))
    pipeline.log.append(pipeline.topics.interactions.name, 0, OutgoingRecord(COMMAND_KEY, move))
    await pipeline.drain()
    assert asked == {"web:ann": 0, "tv:1": 0}
