"""This version reads what 0.1.0 left in Kafka and Redis, and continues from it."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import numpy as np
import pytest
from redis.asyncio import Redis

from afresh.deploy.ledger.comparing import rounded_elsewhere, struct_fields
from afresh.deploy.ledger.reading import PARTITION_ROW, agent_state_of, newest
from afresh.deploy.ledger.users import NOT_SHARED
from afresh.deploy.servers import Server
from afresh.models import scorers
from afresh.models.fusion.fusion import Fusion
from afresh.state.judged import kept as judged_rows
from afresh.state.judged.kept import JudgeRow, Kept
from afresh.state.lists import ListStore, PopularList, UserList
from afresh.state.moments import OLDEST
from afresh.state.records import Example, Interaction
from afresh.state.rows import behaviour, content, details, users
from afresh.state.rows.behaviour import BehaviourRows
from afresh.state.rows.content import ContentRow
from afresh.state.rows.learning import learn
from afresh.state.rows.received import ReceivedWindow
from afresh.state.rows.users import UserRow
from afresh.state.store.marks import OWN_KEYS, PARTITION_ROW_KEY
from afresh.streams.kafka.sender import partition_of
from afresh.streams.messages import (
    COMMAND_KEY,
    ROLL_BACK,
    command_decoder,
    embedding_decoder,
    event_decoder,
    example_decoder,
    interaction_decoder,
    item_decoder,
    text_request_decoder,
)
from afresh.streams.runs.run import KafkaRecord
from afresh.streams.settings import Settings
from tests.deploy.ledger.making import judged
from tests.replay.memory import CrashError, Pipeline
from tests.upgrade.recorded import Recorded, v0_1_0

PARTITIONS = range(2)
EVENTS = [f"e{number}" for number in range(180)]
REFUSED = {"malformed", "time", "version", "invalid"}


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return v0_1_0()


@pytest.fixture
def settings(recorded: Recorded, tmp_path: Path) -> Settings:
    return recorded.settings(tmp_path)


def written(recorded: Recorded, table: str) -> list[KafkaRecord]:
    """Return all rows of a table ever written, except partition rows."""
    records = recorded.records(f"{table}.changelog")
    return [each for each in records if each.key not in OWN_KEYS and each.value is not None]


def rounded_alike(found: dict[bytes, bytes], due: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return behaviour rows without what the processor of this machine rounds otherwise than that of the recording."""
    return {key: rounded_elsewhere(due[key], row) if key in due else row for key, row in found.items()}


def stages(recorded: Recorded) -> list[Kept]:
    """Return every state that the judges ever kept."""
    own = [each for each in recorded.records("users.changelog") if each.key == PARTITION_ROW_KEY]
    return [judged_rows.unpack_of_partition(agent_state_of({PARTITION_ROW: each.value})) for each in own]


def kept_at_the_end(recorded: Recorded) -> list[Kept]:
    """Return what the judge of each partition kept at the end."""
    return [
        judged_rows.unpack_of_partition(
            agent_state_of(newest(recorded.partitions_of["afresh.users.changelog", each]))
        )
        for each in PARTITIONS
    ]


def at_the_end(recorded: Recorded, table: str, partition: int) -> dict[bytes, bytes]:
    """Return the rows of a partition at the end, except the partition row."""
    rows = newest(recorded.partitions_of[f"afresh.{table}.changelog", partition])
    return {key: row for key, row in rows.items() if key != PARTITION_ROW_KEY}


def interactions(recorded: Recorded, partition: int) -> list[tuple[int, Interaction]]:
    """Return the interactions of a partition and their offsets, without repeats."""
    records = recorded.partitions_of["afresh.interactions", partition]
    made = [(each.offset, interaction_decoder.decode(each.value)) for each in records if each.key]
    return list({(each.source, each.offset): (offset, each) for offset, each in reversed(made)}.values())[
        ::-1
    ]


def shared(row: UserRow) -> dict[str, Any]:
    """Return the fields of a user's row that 0.1.0 kept, and folded as this version does."""
    return {name: value for name, value in struct_fields(row).items() if name not in NOT_SHARED}


def examples(recorded: Recorded, partition: int) -> list[Example]:
    """Return the examples of a partition, without repeats."""
    made = [
        example_decoder.decode(each.value) for each in recorded.partitions_of["afresh.examples", partition]
    ]
    return list({(each.source, each.offset): each for each in made}.values())


def test_the_rows_of_users_are_read(recorded: Recorded) -> None:
    rows = {each.key: users.unpack(each.value) for each in written(recorded, "users")}
    assert {each.decode() for each in rows} == {"web:ann", "app:cleo", "web:eve", "app:zoë", "person-11"}
    assert sum(row.revision for row in rows.values()) == len(EVENTS)
    assert all(row.refused and row.domains for row in rows.values())
    assert any(row.bought for row in rows.values())
    assert rows[b"person-11"].seen


def test_the_rows_of_items_are_read(recorded: Recorded) -> None:
    rows = {each.key: behaviour.unpack([each.value])[0] for each in written(recorded, "behaviour")}
    total = sum(len(examples(recorded, partition)) for partition in PARTITIONS)
    assert sum(row["examples"] for row in rows.values()) == total > 100
    assert all(row["pairs"]["weight"].any() for row in rows.values())
    assert any(row["pairs"]["next"].any() for row in rows.values())


def test_the_content_rows_of_items_are_read(recorded: Recorded) -> None:
    rows = {each.key: content.unpack(each.value) for each in written(recorded, "content")}
    assert rows["amélie".encode()].attributes == {"language": "français"}
    assert not rows[b"kept from lists"].available
    assert len([row for row in rows.values() if [each.encoder for each in row.vectors] == ["minilm"]]) == 17
    deleted = {each.key for each in recorded.records("content.changelog") if each.value is None} - OWN_KEYS
    assert deleted == {b"gone"}


def test_the_pages_of_event_ids_are_read(recorded: Recorded) -> None:
    windows = [ReceivedWindow(at_the_end(recorded, "received", each), 1024) for each in PARTITIONS]
    assert sum(each.remembered for each in windows) == len(EVENTS)
    for each in written(recorded, "received"):
        assert ReceivedWindow({each.key: each.value}, 1024).remembered


def test_the_state_of_the_judges_is_read(recorded: Recorded) -> None:
    kept = stages(recorded)
    assert all(each.fusion.examples == each.verdicts.judged[0] + each.verdicts.unjudged for each in kept)
    last = kept_at_the_end(recorded)
    assert sum(each.fusion.examples for each in last) == sum(
        len(examples(recorded, each)) for each in PARTITIONS
    )
    assert all(each.verdicts.judged[0] > 20 and each.verdicts.hit_rate() > 0 for each in last)
    assert [each.guard.rollbacks for each in last] == [1, 1]
    assert any(each.verdicts.recent.any() for each in last)


def test_what_was_learned_stays_with_the_names_of_its_scorers_and_new_ones_start_at_their_priors(
    recorded: Recorded,
) -> None:
    for each in PARTITIONS:
        state = agent_state_of(newest(recorded.partitions_of["afresh.users.changelog", each]))
        row = msgspec.msgpack.decode(state, type=JudgeRow)
        learned, now = (
            Fusion.of_partition(row.fusion).omega,
            judged_rows.unpack_of_partition(state).fusion.omega,
        )
        before = dict(zip(row.scorers, np.split(learned, len(row.scorers), axis=1), strict=True))
        priors = dict(zip(scorers.NAMES, np.split(scorers.prior(), len(scorers.NAMES), axis=1), strict=True))
        after = dict(zip(scorers.NAMES, np.split(now, len(scorers.NAMES), axis=1), strict=True))
        assert (learned[:, :2] != priors[row.scorers[0]]).any()
        assert "brought" not in before
        assert all((pair == before.get(name, priors[name])).all() for name, pair in after.items())


def test_the_records_between_agents_are_read(recorded: Recorded) -> None:
    events = [each.event for partition in PARTITIONS for _, each in interactions(recorded, partition)]
    assert sorted(events) == sorted(EVENTS)
    commands = [each for each in recorded.records("interactions") if each.key == COMMAND_KEY]
    assert [command_decoder.decode(each.value).name for each in commands] == [ROLL_BACK, ROLL_BACK]
    asked = [text_request_decoder.decode(each.value) for each in recorded.records("texts")]
    answered = [embedding_decoder.decode(each.value) for each in recorded.records("embeddings")]
    assert {(each.item, each.content) for each in answered} < {(each.item, each.content) for each in asked}
    assert {len(each.vector) for each in answered} == {16}


def test_the_events_hold_all_that_an_event_can_say(recorded: Recorded) -> None:
    refused = {(each.headers[2][1], each.value) for each in recorded.records("events.dlq")}
    usable = [each for each in recorded.records("events") if (b"afresh.events", each.value) not in refused]
    events = [event_decoder.decode(each.value) for each in usable]
    assert Counter(each.id for each in events) == Counter([*EVENTS, "e7"])
    assert {each.type for each in events} == {
        "view", "click", "add_to_cart", "purchase", "rating", "like", "dislike", "impression"
    }  # fmt: skip
    assert all(any(getattr(each, name) for each in events) for name in ("value", "session", "context"))


def test_the_dead_letters_say_why(recorded: Recorded) -> None:
    letters = [dict(each.headers) for each in recorded.records("events.dlq")]
    assert {each["reason"].decode() for each in letters} == REFUSED
    assert {each["topic"] for each in letters} == {b"afresh.events", b"afresh.items"}


def test_the_items_are_read(recorded: Recorded) -> None:
    items = [each for each in recorded.records("items") if each.value and each.key != b"broken"]
    assert len({item_decoder.decode(each.value).id for each in items}) == len(items) - 1 == 26


def test_the_lists_in_redis_are_read(recorded: Recorded) -> None:
    lists = [
        msgspec.json.decode(value, type=UserList)
        for key, value in recorded.redis.items()
        if key.startswith("afresh:recommendations:")
    ]
    assert {len(each.items) for each in lists} == {recorded.list_size}
    assert {each.model for each in lists} == {"afresh-0.1.0"}
    assert all(item.parts for each in lists for item in each.items)
    popular = [
        msgspec.json.decode(value, type=PopularList)
        for key, value in recorded.redis.items()
        if key.startswith("afresh:popular:")
    ]
    assert {each.domain for each in popular} == {"films", "books"}


@pytest.mark.parametrize(("newer", "replaced"), [(0, True), (1, True), (-1, False)])
async def test_a_list_in_redis_is_replaced_unless_the_new_one_is_older(
    recorded: Recorded, redis_server: Server, newer: int, replaced: bool
) -> None:
    held = recorded.redis["afresh:recommendations:web:ann"]
    before = msgspec.json.decode(held, type=UserList)
    after = msgspec.structs.replace(before, revision=before.revision + newer, last_event="today")
    redis, namespace = Redis.from_url(redis_server.address), f"test-{uuid4().hex[:12]}"
    key = f"{namespace}:recommendations:web:ann"
    await redis.set(key, held)
    assert await ListStore(redis, namespace, 1000).push([after]) == (not replaced)
    found: Any = await redis.get(key)
    assert json.loads(found)["last_event"] == ("today" if replaced else before.last_event)
    await redis.aclose()


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_rows_of_users_are_those_folded_from_the_interactions(recorded: Recorded, partition: int) -> None:
    rows: dict[str, UserRow] = {}
    for offset, each in interactions(recorded, partition):
        users.fold(rows.setdefault(each.user, UserRow()), each, partition, offset)
    folded = {user.encode(): shared(row) for user, row in rows.items()}
    found = at_the_end(recorded, "users", partition)
    assert folded == {user: shared(users.unpack(row)) for user, row in found.items()}


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_rows_of_items_are_those_learned_from_the_examples(recorded: Recorded, partition: int) -> None:
    rows = BehaviourRows({})
    learn(rows, examples(recorded, partition))
    learned = {item: rows.packed(number) for item, number in rows.number.items()}
    due = at_the_end(recorded, "behaviour", partition)
    assert rounded_alike(learned, due) == due


async def test_an_audit_confirms_every_row_from_its_input(recorded: Recorded, settings: Settings) -> None:
    pipeline = Pipeline(settings, recorded.log())
    await pipeline.drain()
    report = judged(pipeline)
    assert report.differences == []
    assert report.events.once == report.events.accepted == len(EVENTS)
    assert report.events.repeated > 0
    assert report.events.dead_letters == report.events.refused == len(REFUSED)
    for table in ("received", "users", "behaviour", "content"):
        tally = report.tallies[table]
        assert tally.equal == tally.expected > 0, table


def described(rows: dict[bytes, bytes]) -> dict[bytes, ContentRow]:
    """Return the content rows of items that are there, without the moments that 0.1.0 did not know."""
    unpacked = {key: content.unpack(row) for key, row in rows.items()}
    undated = {"time": OLDEST.time, "partition": OLDEST.partition, "offset": OLDEST.offset}
    return {key: msgspec.structs.replace(row, **undated) for key, row in unpacked.items() if not row.deleted}


async def gone_on(recorded: Recorded, settings: Settings) -> Pipeline:
    """Take over from the worker that died, and take in the later events in the same runs as 0.1.0."""
    pipeline = Pipeline(settings, recorded.log_at_cut(), dict(recorded.committed))
    topic = pipeline.topics.events.name
    for ends in recorded.bursts:
        for partition, end in enumerate(ends):
            there = pipeline.log.partitions[topic, partition]
            there += recorded.partitions_of[topic, partition][len(there) : end]
        await pipeline.drain(lambda: recorded.run)
    return pipeline


async def test_work_begun_by_0_1_0_continues_to_the_same_rows_and_records(
    recorded: Recorded, settings: Settings
) -> None:
    pipeline = await gone_on(recorded, settings)
    topics = pipeline.topics
    ours, theirs = (of_0_1_0(log.values(topics.interactions.name)) for log in (pipeline.log, recorded.log()))
    assert ours == theirs
    for topic in (topics.texts, topics.dead_letters):
        # A record without value takes back the text of an item that was deleted; 0.1.0 sent none.
        sent, meant = (
            {place: [each for each in records if each[1] is not None] for place, records in values.items()}
            for values in (pipeline.log.values(topic.name), recorded.log().values(topic.name))
        )
        assert sent == meant, topic.name
    for partition in PARTITIONS:
        made = pipeline.log.partitions[topics.examples.name, partition]
        assert {example_decoder.decode(each.value).version for each in made} == {1, 2}
        before = recorded.partitions_of[topics.examples.name, partition]
        pairs = [sorted(str(shared_with_0_1_0(record)) for record in each) for each in (made, before)]
        assert pairs[0] == pairs[1]
    rows = pipeline.rows()
    for partition in PARTITIONS:
        for table in ("received", "behaviour", "content"):
            found = {key: row for key, row in rows[table][partition].items() if key != PARTITION_ROW_KEY}
            due = at_the_end(recorded, table, partition)
            if table == "content":
                assert described(found) == described(due)
            elif table == "behaviour":
                assert rounded_alike(found, due) == due
            else:
                assert found == due, table
        for user, row in at_the_end(recorded, "users", partition).items():
            assert shared(users.unpack(rows["users"][partition][user])) == shared(users.unpack(row)), user


def of_0_1_0(
    interactions: dict[int, list[tuple[bytes | None, bytes | None]]],
) -> dict[tuple[int, int], Interaction]:
    """Decode interactions, as far as 0.1.0 had their fields; it named canonical users, and not accounts."""
    made = [
        interaction_decoder.decode(value or b"")
        for records in interactions.values()
        for key, value in records
        if key != COMMAND_KEY
    ]
    return {
        (each.source, each.offset): msgspec.structs.replace(each, incarnation=0, user="")
        for each in made
        if each.way is None
    }


def shared_with_0_1_0(record: KafkaRecord) -> list[Any]:
    """Return key and fields of an example, as far as 0.1.0 had them, but not the place of its interaction.

    What a linked account does is sent on now, so that it stands elsewhere.
    """
    example = example_decoder.decode(record.value)
    return [record.key, *(getattr(example, name) for name in example.__struct_fields__[2:8])]


async def test_rows_begun_by_0_1_0_get_details_of_what_comes_later(
    recorded: Recorded, settings: Settings
) -> None:
    pipeline = await gone_on(recorded, settings)
    rows = [
        unpacked
        for table in pipeline.rows()["users"].values()
        for user, row in table.items()
        if user != PARTITION_ROW_KEY and not (unpacked := users.unpack(row)).to
    ]
    assert {(row.version, row.began) for row in rows} == {(3, 2)}
    types = [details.unpack(row.details)["type"] for row in rows]
    assert all(len(each) == len(users.history_of(row)) for each, row in zip(types, rows, strict=True))
    assert all(each[0] and not each[-1] for each in types)


async def test_an_audit_of_work_that_0_1_0_began_finds_no_difference(
    recorded: Recorded, settings: Settings
) -> None:
    pipeline = await gone_on(recorded, settings)
    report = judged(pipeline)
    assert report.differences == []
    assert report.events.once == report.events.accepted == len(EVENTS)


async def test_the_weights_of_the_partitions_become_their_mean_weighted_by_examples(
    recorded: Recorded, settings: Settings
) -> None:
    before = kept_at_the_end(recorded)
    pipeline = Pipeline(settings, recorded.log())
    await pipeline.drain()
    after = pipeline.kept()
    examples_of = [each.fusion.examples for each in before]
    mean = np.average([each.fusion.omega for each in before], axis=0, weights=examples_of)
    np.testing.assert_allclose(after.fusion.omega, mean, rtol=1e-9)
    np.testing.assert_allclose(pipeline.recommender.weights.now.omega, mean, rtol=1e-9)
    assert [after.source(partition).examples for partition in PARTITIONS] == examples_of
    assert after.verdicts.unjudged == sum(each.verdicts.unjudged for each in before)
    assert after.verdicts.totals()["all"][0] == sum(each.verdicts.totals()["all"][0] for each in before)
    assert after.guard.rollbacks == sum(each.guard.rollbacks for each in before)
    happened = [each.guard.last for each in before if each.guard.last is not None]
    assert after.guard.last == max(happened, key=lambda each: each.time)
    assert bool(after.guard.newest.fusion) == any(each.guard.newest.fusion for each in before)


async def test_what_partitions_learned_is_taken_over_once_wherever_the_worker_is_killed(
    recorded: Recorded, settings: Settings
) -> None:
    due = Pipeline(settings, recorded.log())
    await due.drain()
    for crash in ("profile: sent", "profile: acknowledged", "weigh: acknowledged"):
        log = recorded.log()
        killed = Pipeline(settings, log, crash=partial(eq, crash))
        with pytest.raises(CrashError):
            await killed.drain()
        again = Pipeline(settings, log)
        await again.drain()
        kept, expected = again.kept(), due.kept()
        assert kept.fusion.examples == expected.fusion.examples
        np.testing.assert_allclose(kept.fusion.omega, expected.fusion.omega, rtol=1e-9)


async def test_examples_that_0_1_0_left_are_counted_after_those_that_it_had_judged(
    recorded: Recorded, settings: Settings
) -> None:
    pipeline = await gone_on(recorded, settings)
    due = [each.fusion.examples for each in kept_at_the_end(recorded)]
    kept = pipeline.kept()
    assert [kept.source(partition).examples for partition in PARTITIONS] == due
    assert kept.verdicts.unjudged + kept.verdicts.totals()["all"][0] == kept.fusion.examples == sum(due)


def test_the_partition_of_every_key_is_the_same(recorded: Recorded) -> None:
    for topic in ("events", "interactions", "items", "texts", "embeddings", "identities"):
        for each in recorded.records(topic):
            if each.key != COMMAND_KEY:
                assert partition_of(each.key, recorded.partitions) == each.partition
