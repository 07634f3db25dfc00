"""The same log gives the same tables and records, bit by bit, however it is cut into runs and interrupted."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from afresh.state.judged.guard import Rollback
from afresh.state.rows import behaviour, users
from afresh.state.rows.users import RECENT_EVENTS
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.kafka.sender import OutgoingRecord, partition_of
from afresh.streams.messages import COMMAND_KEY, ROLL_BACK, Command, encode, interaction_decoder
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION
from tests.replay.memory import CLOCK, CrashError, Log, Pipeline

STAGES = ("ingest", "profile", "learn", "content")
FUNCTIONS_OF_THE_LOG = ("received", "behaviour", "content")


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, partitions=2, data_dir=tmp_path, list_size=5)


def fill(pipeline: Pipeline, events: int, seed: int = 1) -> None:
    draw = random.Random(seed)
    for number in range(40):
        pipeline.item(f"i{number}", text="a film", attributes={"year": 1990 + number})
    start = int(CLOCK * 1000) - 10_000_000
    kinds = ["view", "click", "purchase", "rating", "dislike", "impression"]
    for number in range(events):
        pipeline.event(
            id=f"e{number}",
            user=f"u{draw.randrange(9)}",
            item=f"i{min(int(draw.expovariate(0.1)), 39)}",
            time=start + number * 1000,
            type=draw.choice(kinds),
        )


def user_rows(pipeline: Pipeline) -> dict[bytes, bytes]:
    return {
        key: row
        for rows in pipeline.rows()["users"].values()
        for key, row in rows.items()
        if key != PARTITION_ROW_KEY
    }


def outgoing(log: Log, pipeline: Pipeline) -> dict[str, Any]:
    topics = pipeline.topics
    return {
        topic.name: log.values(topic.name)
        for topic in (topics.interactions, topics.examples, topics.texts, topics.dead_letters)
    }


async def played(settings: Settings, length: Any, events: int = 400) -> Pipeline:
    pipeline = Pipeline(settings)
    fill(pipeline, events)
    pipeline.event(id="e1", user="u1")
    pipeline.feed(pipeline.topics.events.name, "web:u1", b"{broken")
    topics = pipeline.topics
    # One stage after the other, so that each reads the same input whatever the lengths of its runs.
    for topic in (topics.items, topics.events, topics.interactions, topics.examples):
        for partition in range(settings.partitions):
            while (topic.name, partition) in set(pipeline.waiting()):
                await pipeline.step(topic.name, partition, length())
        pipeline.follow()
    return pipeline


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_lengths_of_runs_change_neither_tables_nor_outgoing_records(
    plain: Settings, seed: int
) -> None:
    draw = random.Random(seed)
    whole = await played(plain, lambda: 100_000)
    cut = await played(plain, lambda: draw.choice([1, 2, 3, 7, 31, 32, 33, 100]))
    assert outgoing(cut.log, cut) == outgoing(whole.log, whole)
    for table in FUNCTIONS_OF_THE_LOG:
        assert cut.rows()[table] == whole.rows()[table], table
    assert user_rows(cut) == user_rows(whole)


async def test_single_events_are_learned_like_one_long_run(plain: Settings) -> None:
    whole, single = await played(plain, lambda: 100_000, 120), await played(plain, lambda: 1, 120)
    assert single.rows()["behaviour"] == whole.rows()["behaviour"]


async def caught_up_after_each(settings: Settings, restart_at: int | None = None) -> Pipeline:
    pipeline = Pipeline(settings)
    source = Pipeline(settings)
    fill(source, 150)
    items = source.topics.items.name
    for (topic, partition), records in source.log.partitions.items():
        if topic == items:
            pipeline.log.partitions[topic, partition] = list(records)
    await pipeline.drain()
    events = [
        (partition, record)
        for partition in range(settings.partitions)
        for record in source.log.partitions[source.topics.events.name, partition]
    ]
    for number, (partition, record) in enumerate(events):
        pipeline.log.partitions[record.topic, partition].append(record)
        await pipeline.drain(lambda: 1)
        if number == restart_at:
            lists = pipeline.store.lists
            pipeline = Pipeline(settings, log=pipeline.log, committed=pipeline.committed)
            pipeline.store.lists = lists
    return pipeline


@pytest.mark.slow
async def test_events_played_one_by_one_give_the_same_lists_every_time(plain: Settings) -> None:
    first, second = await caught_up_after_each(plain), await caught_up_after_each(plain)
    assert first.store.lists == second.store.lists
    assert len(first.store.lists) == 9
    assert all(len(each.items) == 5 for each in first.store.lists.values())


@pytest.mark.slow
async def test_a_restart_in_the_middle_gives_the_same_tables_and_records_as_none(plain: Settings) -> None:
    straight, restarted = await caught_up_after_each(plain), await caught_up_after_each(plain, restart_at=75)
    assert outgoing(restarted.log, restarted) == outgoing(straight.log, straight)
    for table in FUNCTIONS_OF_THE_LOG:
        assert restarted.rows()[table] == straight.rows()[table], table
    assert user_rows(restarted) == user_rows(straight)


@pytest.mark.parametrize("moment", ["sent", "written"])
@pytest.mark.parametrize("stage", STAGES)
async def test_a_crash_between_any_two_steps_of_a_run_counts_every_event_once(
    plain: Settings, stage: str, moment: str
) -> None:
    straight = Pipeline(plain)
    fill(straight, 300)
    await straight.drain(lambda: 20)

    draw = random.Random(7)
    log, committed, crashes = Log(), dict[tuple[str, int], int](), Counter[str]()
    fill(Pipeline(plain, log), 300)

    def crash(step: str) -> bool:
        crashed = step == f"{stage}: {moment}" and crashes[step] < 5 and draw.random() < 0.3
        crashes[step] += crashed
        return crashed

    while True:
        pipeline = Pipeline(plain, log, committed, crash)
        try:
            await pipeline.drain(lambda: 20)
        except CrashError:
            continue
        break
    assert sum(crashes.values()) > 1
    assert user_rows(pipeline) == user_rows(straight)
    assert examples_by_item(pipeline) == examples_by_item(straight)
    assert steps(pipeline) == steps(straight)
    assert pipeline.rows()["content"].keys() == straight.rows()["content"].keys()


def examples_by_item(pipeline: Pipeline) -> dict[bytes, int]:
    return {
        key: int(behaviour.unpack([row])[0]["examples"])
        for rows in pipeline.rows()["behaviour"].values()
        for key, row in rows.items()
        if key != PARTITION_ROW_KEY
    }


def steps(pipeline: Pipeline) -> int:
    """Return the number of examples that the fusion has counted."""
    return pipeline.kept().fusion.examples


async def test_the_fusion_counts_every_example_once(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    fill(pipeline, 200)
    await pipeline.drain(lambda: 13)
    assert steps(pipeline) == sum(examples_by_item(pipeline).values()) > 100


async def test_an_event_sent_twice_under_two_offsets_counts_once(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    for _ in range(3):
        pipeline.event(id="same")
    await pipeline.drain()
    assert users.unpack(user_rows(pipeline)[b"web:ann"]).revision == 1


async def test_an_event_repeated_beyond_the_window_is_dropped_by_the_user_row(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, partitions=1, data_dir=tmp_path, deduplication_window=0)
    pipeline = Pipeline(settings)
    for _ in range(3):
        pipeline.event(id="same")
    await pipeline.drain()
    assert len(pipeline.log.partitions[pipeline.topics.interactions.name, 0]) == 3
    assert users.unpack(user_rows(pipeline)[b"web:ann"]).revision == 1


@pytest.mark.parametrize(("between", "times"), [(RECENT_EVENTS - 1, 1), (RECENT_EVENTS, 2)])
async def test_an_event_sent_through_two_partitions_counts_once_while_the_users_row_remembers_it(
    plain: Settings, between: int, times: int
) -> None:
    """Ingest remembers ids by partition. The user's row remembers the last ones, whatever partition they came from."""
    pipeline = Pipeline(plain)
    pipeline.event(id="same")
    for number in range(between):
        pipeline.event(id=f"e{number}", item=f"i{number}")
    await pipeline.drain()
    home = partition_of(b"web:ann", 2)
    events = pipeline.log.partitions[pipeline.topics.events.name, home]
    again = OutgoingRecord(events[0].key, events[0].value)
    pipeline.log.append(pipeline.topics.events.name, 1 - home, again)
    await pipeline.drain()
    assert users.unpack(user_rows(pipeline)[b"web:ann"]).revision == between + times


async def test_an_interaction_names_the_event_that_it_was_made_from(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    pipeline.event(id="first")
    pipeline.event(id="second")
    await pipeline.drain()
    made = [
        interaction_decoder.decode(value)
        for records in pipeline.log.values(pipeline.topics.interactions.name).values()
        for _, value in records
        if value
    ]
    assert [(each.event, each.offset) for each in made] == [("first", 0), ("second", 1)]


async def test_events_of_a_topic_that_is_made_again_count_and_late_records_of_the_old_one_do_not(
    plain: Settings,
) -> None:
    """The offsets of the new events are those of the old ones. A crash lets old interactions come again."""
    before = Pipeline(plain)
    fill(before, 60)
    await before.drain()
    old = {
        partition: list(records)
        for partition, records in before.log.values(before.topics.interactions.name).items()
    }
    taken = {key: users.unpack(row).revision for key, row in user_rows(before).items()}
    before.log.make_again(before.topics.events.name)
    committed = {
        place: offset for place, offset in before.committed.items() if place[0] != before.topics.events.name
    }
    after = Pipeline(plain, before.log, committed)
    for number in range(30):
        after.event(id=f"new{number}", user=f"v{number}", item="i1")
    await after.drain()
    new = {key for key in user_rows(after) if key.startswith(b"web:v")}
    assert len(new) == 30, "every event of the new topic counts"
    counted = user_rows(after)
    for partition, records in old.items():
        for key, value in records:
            after.log.append(after.topics.interactions.name, partition, OutgoingRecord(key, value))
    await after.drain()
    assert user_rows(after) == counted, "late records of the old topic are known"
    assert {key: users.unpack(row).revision for key, row in counted.items() if key in taken} == taken


async def test_interactions_and_examples_may_be_made_again_and_no_event_counts_twice(plain: Settings) -> None:
    before = Pipeline(plain)
    fill(before, 60)
    await before.drain()
    topics, rows = before.topics, user_rows(before)
    inner = (topics.interactions.name, topics.examples.name)
    for name in inner:
        before.log.make_again(name)
    committed = {
        (name, partition): 0 if name in (*inner, topics.events.name) else offset
        for (name, partition), offset in before.committed.items()
    }
    after = Pipeline(plain, before.log, committed)
    await after.drain()
    assert user_rows(after) == rows, "events that are read again are known"
    learned = sum(
        behaviour.unpack([row])["examples"][0]
        for part in after.rows()["behaviour"].values()
        for key, row in part.items()
        if key != PARTITION_ROW_KEY
    )
    for number in range(10):
        after.event(id=f"new{number}", user="ann", item=f"i{number}")
    await after.drain()
    assert users.unpack(user_rows(after)[b"web:ann"]).revision == 10
    assert learned + 10 == sum(
        behaviour.unpack([row])["examples"][0]
        for part in after.rows()["behaviour"].values()
        for key, row in part.items()
        if key != PARTITION_ROW_KEY
    )


async def test_every_example_counts_as_judged_or_unjudged_and_slices_add_up(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    fill(pipeline, 300)
    await pipeline.drain(lambda: 5)
    kept = pipeline.kept()
    counts = {name: count for name, (count, _) in kept.verdicts.totals().items()}
    assert sum(each.examples for each in kept.sources.values()) == kept.fusion.examples
    assert (
        counts["all"] + kept.verdicts.unjudged == steps(pipeline) == sum(examples_by_item(pipeline).values())
    )
    assert counts["all"] > 100
    for kind in ("user:", "item:", "domain:", "platform:"):
        assert sum(count for name, count in counts.items() if name.startswith(kind)) == counts["all"]


def command(pipeline: Pipeline, name: str = ROLL_BACK) -> None:
    record = OutgoingRecord(COMMAND_KEY, encode(Command(name, 5)))
    for topic in (pipeline.topics.judged, pipeline.topics.interactions):
        pipeline.log.append(topic.name, FIRST_PARTITION, record)


async def test_a_command_is_carried_out_once_even_if_it_is_delivered_again(
    plain: Settings,
) -> None:
    pipeline = Pipeline(plain)
    fill(pipeline, 100)
    await pipeline.drain()
    command(pipeline)
    fill(pipeline, 120, seed=2)
    await pipeline.drain(lambda: 7)
    again = Pipeline(plain, pipeline.log)
    await again.drain(lambda: 11)
    for each in (pipeline, again):
        guard = each.kept().guard
        assert (guard.rollbacks, guard.last) == (1, Rollback(5, "command", 0))


async def test_an_unknown_command_is_ignored(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    command(pipeline, "dance")
    pipeline.event(id="e1")
    await pipeline.drain()
    assert len(user_rows(pipeline)) == 1
