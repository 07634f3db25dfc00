"""The audit reports nothing if nothing is wrong, and names every fault that a test plants."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import astuple
from msgspec.structs import replace as replaced

from afresh.deploy.ledger.events import FIELDS_OF_0_1_0
from afresh.deploy.ledger.report import Report
from afresh.deploy.ledger.served import ListsInRedis
from afresh.models import scorers
from afresh.models.fusion.fusion import Fusion
from afresh.models.fusion.weights import Weights
from afresh.state.judged.kept import JudgeRow
from afresh.state.lists import PopularList, UserList
from afresh.state.rows import content, users
from afresh.state.rows.users import RECENT_EVENTS, UserRow
from afresh.state.store.marks import PARTITION_ROW_KEY, PartitionRow
from afresh.streams.kafka.sender import OutgoingRecord, partition_of
from afresh.streams.messages import Embedding, encode, example_decoder, interaction_decoder
from afresh.streams.serving.lister import Lister
from afresh.streams.settings import Settings
from tests.deploy.ledger.making import EVENTS, MemoryLogs, judged, lists_of, played, settings_of, spoil
from tests.replay.memory import CrashError, Log, Pipeline

STEPS = [
    f"{stage}: {moment}"
    for stage in ("ingest", "profile", "learn", "content")
    for moment in ("sent", "written")
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Topics of a run without faults."""
    return asyncio.run(played(settings_of(tmp_path_factory.mktemp("played")))).log


@pytest.fixture
def pipeline(settings: Settings, log: Log) -> Pipeline:
    """A run without faults, for a test to spoil."""
    own = Log()
    own.partitions.update({place: list(records) for place, records in log.partitions.items()})
    return Pipeline(settings, own)


def clean(report: Report) -> None:
    assert report.differences == []
    assert all(tally.equal == tally.expected > 0 for tally in report.tallies.values()), report.tallies


def names(report: Report, *sentences: str) -> None:
    """Check that the report names these differences, and no others."""
    for sentence in sentences:
        assert any(sentence in difference for difference in report.differences), report.differences
    for difference in report.differences:
        assert any(sentence in difference for sentence in sentences), difference


def rewrite(pipeline: Pipeline, topic: str, change: Callable[[int, bytes, bytes], bytes | None]) -> None:
    """Change the newest row of each key of a changelog; where ``change`` returns None, the row stays."""
    for (name, partition), records in list(pipeline.log.partitions.items()):
        newest = {record.key: record.value for record in records if record.value is not None}
        for key, row in newest.items() if name == topic else ():
            changed = change(partition, key or b"", row)
            if changed is not None:
                pipeline.log.append(name, partition, OutgoingRecord(key, changed))


async def test_a_run_without_faults_shows_no_difference(pipeline: Pipeline) -> None:
    report = judged(pipeline)
    clean(report)
    events = report.events
    assert (events.total, events.refused, events.dead_letters) == (EVENTS + 4, 3, 3)
    assert (events.accepted, events.once, events.duplicates) == (EVENTS + 1, EVENTS + 1, 1)
    assert events.twice == events.missing == events.repeated == 0
    assert 0 < events.examples < EVENTS


async def test_empty_topics_show_no_difference(settings: Settings) -> None:
    report = judged(Pipeline(settings), ListsInRedis({}, {}))
    assert report.differences == []
    assert report.events.total == 0


@pytest.mark.parametrize("step", STEPS)
async def test_records_repeated_after_crashes_are_no_difference(settings: Settings, step: str) -> None:
    draw, log, committed, crashes = random.Random(7), Log(), dict[tuple[str, int], int](), Counter[str]()
    spoil(Pipeline(settings, log))

    def crash(moment: str) -> bool:
        crashed = moment == step and crashes[moment] < 4 and draw.random() < 0.4
        crashes[moment] += crashed
        return crashed

    while True:
        pipeline = Pipeline(settings, log, committed, crash)
        try:
            await pipeline.drain(lambda: 20)
        except CrashError:
            continue
        break
    report = judged(pipeline)
    clean(report)
    assert report.events.once == EVENTS + 1
    assert sum(crashes.values()) == 4
    if step in ("ingest: sent", "profile: sent"):
        assert report.events.repeated > 0


async def test_a_compacted_changelog_shows_no_difference(pipeline: Pipeline) -> None:
    topics = pipeline.topics
    for topic in (topics.users, topics.behaviour, topics.content, topics.received, topics.items):
        for partition in range(topic.partitions):
            records = pipeline.log.partitions[topic.name, partition]
            newest = {record.key: record for record in records if record.key != b"i1"}
            pipeline.log.partitions[topic.name, partition] = [
                each for each in records if each.key == b"i1" or newest[each.key] is each
            ]
    clean(judged(pipeline))


async def test_an_event_without_interaction_is_lost(pipeline: Pipeline) -> None:
    interactions = pipeline.log.partitions[pipeline.topics.interactions.name, 0]
    lost = interaction_decoder.decode(interactions.pop(3).value)
    report = judged(pipeline)
    sentence = f"event '{lost.event}' (user '{lost.user}', item '{lost.item}') at {lost.source}@{lost.offset} is lost"
    assert any(sentence in each for each in report.differences)
    assert report.events.missing == 1
    assert report.events.twice == 1, "the user's row counts an event that the topic of interactions lacks"


async def test_an_event_that_no_row_has_counted_is_missing(settings: Settings) -> None:
    pipeline = await played(settings)
    pipeline.event(id="late", user="u2", item="i3", type="dislike")
    topic = pipeline.topics.events.name
    partition = partition_of(b"web:u2", 2)
    await pipeline.step(topic, partition, 10)
    report = judged(pipeline)
    names(report, "the row of user 'web:u2' is wrong: revision ")
    assert (report.events.missing, report.events.twice) == (1, 0)
    assert report.events.once == EVENTS + 1


async def test_an_interaction_with_a_source_offset_of_no_event_is_named(pipeline: Pipeline) -> None:
    interactions = pipeline.log.partitions[pipeline.topics.interactions.name, 0]
    # The last one, because it is surely among the few newest events that its user's row remembers.
    doubled = interaction_decoder.decode(interactions[-1].value)
    changed = replaced(doubled, offset=10_000)
    pipeline.log.append(
        pipeline.topics.interactions.name, 0, OutgoingRecord(changed.user.encode(), encode(changed))
    )
    names(judged(pipeline), f"event '{doubled.event}'", "names the event")


async def test_an_interaction_in_two_partitions_is_counted_twice(
    pipeline: Pipeline,
) -> None:
    value = pipeline.log.partitions[pipeline.topics.interactions.name, 0][3].value
    pipeline.log.append(pipeline.topics.interactions.name, 1, OutgoingRecord(b"web:u", value))
    report = judged(pipeline)
    assert any("and so does one in partition 0: counted twice" in each for each in report.differences)


async def test_an_interaction_that_comes_again_with_other_content_is_named(pipeline: Pipeline) -> None:
    value = pipeline.log.partitions[pipeline.topics.interactions.name, 0][3].value
    changed = replaced(interaction_decoder.decode(value), item="another")
    pipeline.log.append(
        pipeline.topics.interactions.name, 0, OutgoingRecord(changed.user.encode(), encode(changed))
    )
    names(judged(pipeline), "came again with other content")


async def test_an_interaction_that_differs_from_its_event_is_named(pipeline: Pipeline) -> None:
    log = pipeline.log.partitions[pipeline.topics.interactions.name, 0]
    interaction = interaction_decoder.decode(log[3].value)
    log[3] = replace(log[3], value=encode(replaced(interaction, domain="books", user="web:nobody")))
    assert any("differs from its event in user, domain" in each for each in judged(pipeline).differences)


async def test_0_1_0_may_have_given_an_event_any_user_that_its_user_was_linked_to(
    settings: Settings,
) -> None:
    pipeline = Pipeline(settings)
    pipeline.item("i1")
    pipeline.event(id="e1")
    await pipeline.drain()
    (partition,) = (p for p in range(2) if pipeline.log.partitions[pipeline.topics.interactions.name, p])
    log = pipeline.log.partitions[pipeline.topics.interactions.name, partition]
    of_ann = astuple(replaced(interaction_decoder.decode(log[0].value), user="ann"))
    log[0] = replace(log[0], value=encode(of_ann[:FIELDS_OF_0_1_0]))
    assert any("differs from its event in user" in each for each in judged(pipeline).differences)
    pipeline.log.append(pipeline.topics.identities.name, 0, OutgoingRecord(b"web:ann", b"ann"))
    assert not any("differs from its event" in each for each in judged(pipeline).differences)


async def test_a_row_that_counts_an_event_twice_is_named(pipeline: Pipeline) -> None:
    def once_more(partition: int, key: bytes, row: bytes) -> bytes | None:
        if key != b"web:u3":
            return None
        unpacked = users.unpack(row)
        unpacked.revision += 1
        return users.pack(unpacked)

    served = lists_of(pipeline)
    rewrite(pipeline, pipeline.topics.users.name, once_more)
    report = judged(pipeline, served)
    names(report, "the row of user 'web:u3' is wrong: revision", "the list of user 'web:u3' takes in")
    assert (report.events.twice, report.events.missing) == (1, 0)
    assert report.tallies["users"].wrong == 1


async def test_rows_that_an_earlier_version_packed_are_no_difference(pipeline: Pipeline) -> None:
    def with_more_events(partition: int, key: bytes, row: bytes) -> bytes | None:
        return None if key == PARTITION_ROW_KEY else users.pack(lengthened(users.unpack(row)))

    def lengthened(row: UserRow) -> UserRow:
        row.events += b"earlier " * (32 - RECENT_EVENTS)
        return row

    rewrite(pipeline, pipeline.topics.users.name, with_more_events)
    clean(judged(pipeline))


@pytest.mark.parametrize("bit", [0, 9, 101, 8 * 40, -1])
async def test_a_flipped_bit_in_an_items_row_is_named(pipeline: Pipeline, bit: int) -> None:
    def flipped(partition: int, key: bytes, row: bytes) -> bytes | None:
        if key != b"i2":
            return None
        changed = bytearray(row)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    served = lists_of(pipeline)
    rewrite(pipeline, pipeline.topics.behaviour.name, flipped)
    report = judged(pipeline, served)
    assert any("behaviour: the row of item 'i2' is wrong" in each for each in report.differences)
    assert report.tallies["behaviour"].wrong == 1


@pytest.mark.parametrize("table", ["users", "behaviour", "content", "received"])
@pytest.mark.parametrize("row", [b"", b"\x00", b"\xff" * 300])
async def test_an_unreadable_row_is_named(pipeline: Pipeline, table: str, row: bytes) -> None:
    done: list[bytes] = []

    def broken(partition: int, key: bytes, _: bytes) -> bytes | None:
        if key == PARTITION_ROW_KEY or done:
            return None
        done.append(key)
        return row

    served = lists_of(pipeline)
    rewrite(pipeline, getattr(pipeline.topics, table).name, broken)
    assert any(each.startswith(f"{table}: the row of ") for each in judged(pipeline, served).differences)


@pytest.mark.parametrize("table", ["users", "behaviour", "content", "received"])
async def test_missing_and_surplus_rows_are_named(pipeline: Pipeline, table: str) -> None:
    served = lists_of(pipeline)
    topic = getattr(pipeline.topics, table).name
    key, row = next((r.key, r.value) for r in pipeline.log.partitions[topic, 0] if r.key)
    pipeline.log.append(topic, 0, OutgoingRecord(key, None))
    pipeline.log.append(topic, 0, OutgoingRecord(b"nobody", row))
    report = judged(pipeline, served)
    whose = repr(key.decode(errors="replace"))
    assert any(f"{whose} is missing" in each for each in report.differences)
    assert any("comes from nothing in the input" in each for each in report.differences)
    assert (report.tallies[table].missing, report.tallies[table].surplus) == (1, 1)


async def test_a_missing_dead_letter_is_named(pipeline: Pipeline) -> None:
    letters = [
        pipeline.log.partitions[pipeline.topics.dead_letters.name, partition] for partition in range(2)
    ]
    topics = Counter(dict(each.headers)["topic"] for log in letters for each in log)
    assert topics == {pipeline.topics.events.name.encode(): 2, pipeline.topics.items.name.encode(): 1}
    for log in letters:
        for letter in log:
            report = judged(without(pipeline, letter))
            offset = int(dict(letter.headers)["offset"])
            names(report, f"@{offset} of {dict(letter.headers)['topic'].decode()} must be refused")


def without(pipeline: Pipeline, letter: Any) -> Pipeline:
    name = pipeline.topics.dead_letters.name
    log = Log()
    log.partitions.update(pipeline.log.partitions)
    for partition in range(2):
        kept = [each for each in pipeline.log.partitions[name, partition] if each is not letter]
        log.partitions[name, partition] = kept
    return Pipeline(pipeline.settings, log, pipeline.committed)


async def test_a_repeated_dead_letter_with_the_same_source_is_no_difference(
    pipeline: Pipeline,
) -> None:
    log = pipeline.log.partitions[pipeline.topics.dead_letters.name, partition_of(b"web:u1", 2)]
    log += log[:1]
    report = judged(pipeline)
    clean(report)
    assert report.events.repeated == 1


async def test_dead_letters_that_are_changed_or_have_a_good_event_or_no_source_are_named(
    pipeline: Pipeline,
) -> None:
    log = pipeline.log.partitions[pipeline.topics.dead_letters.name, partition_of(b"web:u1", 2)]
    log[0] = replace(log[0], value=b"other bytes")
    headers = [("topic", pipeline.topics.events.name.encode()), ("partition", b"0"), ("offset", b"0")]
    pipeline.log.append(pipeline.topics.dead_letters.name, 0, OutgoingRecord(b"", b"", headers))
    pipeline.log.append(pipeline.topics.dead_letters.name, 0, OutgoingRecord(b"", b""))
    names(judged(pipeline), "the bytes of the record", "must not be refused", "names no record")


async def test_a_missing_example_and_one_without_an_interaction_are_named(pipeline: Pipeline) -> None:
    log = pipeline.log.partitions[pipeline.topics.examples.name, 0]
    example = example_decoder.decode(log[-1].value)
    log[-1] = replace(log[-1], value=encode(replaced(example, offset=10_000)))
    names(
        judged(pipeline),
        f"who took item '{example.item}', is missing",
        f"the example of item '{example.item}' from {example.source}@10000 must not be learned from",
    )


async def test_an_example_that_differs_from_the_users_row_is_named(pipeline: Pipeline) -> None:
    log = pipeline.log.partitions[pipeline.topics.examples.name, 0]
    example = example_decoder.decode(log[-1].value)
    log[-1] = replace(log[-1], value=encode(replaced(example, time=example.time + 1)))
    assert any("does not hold the state of user" in each for each in judged(pipeline).differences)


async def test_a_fusion_that_has_counted_one_example_too_many_is_named(pipeline: Pipeline) -> None:
    def once_more(partition: int, key: bytes, row: bytes) -> bytes | None:
        if key != PARTITION_ROW_KEY or partition:
            return None
        own = msgspec.msgpack.decode(row, type=PartitionRow)
        judge = msgspec.msgpack.decode(own.agent_state, type=JudgeRow)
        fusion = Fusion.from_bytes(judge.fusion)
        fusion.examples += 1
        judge.fusion = fusion.to_bytes()
        own.agent_state = encode(judge)
        return encode(own)

    rewrite(pipeline, pipeline.topics.weights.name, once_more)
    report = judged(pipeline)
    names(report, "weights: what was learned has counted ", "weights: what was learned has judged ")
    assert (report.tallies["weights"].equal, report.tallies["weights"].wrong) == (0, 1)


async def test_an_older_list_is_stale(pipeline: Pipeline) -> None:
    served = lists_of(pipeline)
    older = msgspec.json.decode(served.users["web:u4"], type=UserList)
    served.users["web:u4"] = msgspec.json.encode(
        replaced(older, revision=older.revision - 1, last_event="before")
    )
    report = judged(pipeline, served)
    names(report, "the list of user 'web:u4' takes in")
    assert report.tallies["lists"].wrong == 1


async def test_a_list_made_from_an_older_catalogue_is_stale(settings: Settings) -> None:
    pipeline = await played(settings, events=60)
    served = lists_of(pipeline)
    clean(judged(pipeline, served))
    for number in range(40):
        pipeline.event(id=f"more-{number}", user="u8", item=f"i{number % 7}")
    await pipeline.drain()
    newest = lists_of(pipeline).users
    for user in served.users:
        if user != "web:u8":
            mixed = ListsInRedis({**newest, user: served.users[user]}, lists_of(pipeline).domains)
            names(judged(pipeline, mixed), f"the list of user '{user}' ")


async def test_diversified_and_exploring_lists_are_checked_by_their_items_and_scores(
    settings: Settings,
) -> None:
    policy = {"diversity": 0.5, "exploration": 0.4, "leave_out": {"films": "bought"}}
    pipeline = await played(settings.model_copy(update=policy))
    served = lists_of(pipeline)
    clean(judged(pipeline, served))
    by_score = Pipeline(settings, pipeline.log)
    assert judged(by_score, served).tallies["lists"].wrong > 0
    made = msgspec.json.decode(served.users["web:u1"], type=UserList)
    first, *others = made.items
    for spoiled, sentence in (
        (replaced(first, parts=first.parts | {"popular": 9.0}), f"gives item '{first.id}' 9.0000 by popular"),
        (replaced(first, id="nobody"), "holds item 'nobody', which is not allowed"),
    ):
        served.users["web:u1"] = msgspec.json.encode(replaced(made, items=[spoiled, *others]))
        names(judged(pipeline, served), f"the list of user 'web:u1' {sentence}")


async def test_with_an_empty_catalogue_a_user_must_have_an_empty_list(
    settings: Settings,
) -> None:
    pipeline = Pipeline(settings)
    pipeline.event(id="e1", type="dislike")
    await pipeline.drain()
    served = lists_of(pipeline)
    assert judged(pipeline, served).differences == []
    assert msgspec.json.decode(served.users["web:ann"], type=UserList).items == []
    served.users.clear()
    names(judged(pipeline, served), "user 'web:ann' has no list")


async def test_missing_surplus_and_unreadable_lists_are_named(pipeline: Pipeline) -> None:
    served = lists_of(pipeline)
    served.users["web:nobody"] = served.users.pop("web:u5")
    served.users["web:u6"] = b"{}"
    served.domains["books"] = served.domains["films"]
    served.domains["films"] = b"[]"
    names(
        judged(pipeline, served),
        "user 'web:u5' has no list",
        "there is a list of user 'web:nobody'",
        "the list of user 'web:u6' is no list",
        "there is a list of domain 'books'",
        "the list of domain 'films' is no list",
    )
    served.domains.clear()
    assert "popular lists: domain 'films' has no list" in judged(pipeline, served).differences


async def test_a_popular_list_with_other_scores_is_named(pipeline: Pipeline) -> None:
    served = lists_of(pipeline)
    popular = msgspec.json.decode(served.domains["films"], type=PopularList)
    first, *rest = popular.items
    served.domains["films"] = msgspec.json.encode(
        replaced(popular, items=[replaced(first, score=9.0), *rest])
    )
    names(judged(pipeline, served), f"the list of domain 'films' gives item '{first.id}' 9.0000 instead of")
    ((longer, _),) = Lister(pipeline.catalogue, 100).popular(Weights(scorers.prior()))
    worst = next(each for each in longer.items if each.id not in {item.id for item in popular.items})
    served.domains["films"] = msgspec.json.encode(replaced(popular, items=[worst, *rest]))
    names(judged(pipeline, served), f"the list of domain 'films' has item '{worst.id}' before '{rest[0].id}'")


async def test_a_wrong_content_row_is_named_by_its_field(pipeline: Pipeline) -> None:
    def renamed(partition: int, key: bytes, row: bytes) -> bytes | None:
        return content.pack(replaced(content.unpack(row), title="Another")) if key == b"i7" else None

    rewrite(pipeline, pipeline.topics.content.name, renamed)
    names(judged(pipeline), "content: the row of item 'i7' is wrong: title 'Another' instead of 'i7'")


async def test_a_text_that_no_encoder_was_asked_to_encode_is_named(pipeline: Pipeline) -> None:
    for partition in range(2):
        log = pipeline.log.partitions[pipeline.topics.texts.name, partition]
        log[:] = [each for each in log if each.key != b"i9"]
    names(judged(pipeline), "no encoder was asked to encode the text of item 'i9'")


async def test_an_item_of_whose_text_there_is_no_vector_is_right_without_one(pipeline: Pipeline) -> None:
    answer = Embedding("i9", content.content_hash("i9"), "minilm", "1", b"")
    pipeline.feed(pipeline.topics.embeddings.name, "i9", encode(answer))
    await pipeline.drain()
    clean(judged(pipeline))


async def test_the_audit_tells_what_became_of_every_event(pipeline: Pipeline) -> None:
    outcomes: dict[str, str] = {}
    judged(pipeline, outcomes=outcomes)
    told = Counter(outcomes.values())
    assert (told["counted"], told["refused"]) == (EVENTS + 1, 2)
    assert outcomes["twice"] == "counted"
    assert outcomes["early"] == "refused"


def test_topics_in_memory_are_read_in_order(settings: Settings) -> None:
    pipeline = Pipeline(settings)
    pipeline.event(id="a")
    pipeline.event(id="b")
    partition = partition_of(b"web:ann", 2)
    read = MemoryLogs(pipeline.log).records(pipeline.topics.events, partition)
    assert [record.offset for record in read] == [0, 1]
