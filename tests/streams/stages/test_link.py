"""The stage that keeps links, and commands what follows from them."""

from __future__ import annotations

from itertools import count, pairwise
from pathlib import Path

import msgspec
import pytest

from afresh.state.errors import AfreshError
from afresh.state.records import Move
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams import metrics
from afresh.streams.kafka.limits import BatchLimits
from afresh.streams.kafka.sender import OutgoingRecord, partition_of
from afresh.streams.links import key_of_link
from afresh.streams.messages import COMMAND_KEY, KeyedRecord, encode, keyed_key, move_decoder
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION
from tests.replay.memory import CrashError, Pipeline

CANONICAL = "app:7"


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, partitions=3, data_dir=tmp_path, list_size=5)


def put(pipeline: Pipeline, key: bytes, value: bytes | None, when: int, source: int = 0) -> None:
    keyed = encode(KeyedRecord(source, when, when, 1, value))
    topic = pipeline.topics.identities_keyed.name
    pipeline.log.append(topic, FIRST_PARTITION, OutgoingRecord(keyed_key(source, key), keyed))


def pair(
    pipeline: Pipeline,
    when: int,
    *,
    end: bool = False,
    source: int = 0,
    other: str = "web:ann",
    **more: object,
) -> None:
    said = {"accounts": [CANONICAL, other], "time": 1_600_000_000_000} | more
    put(pipeline, key_of_link(CANONICAL, other), None if end else msgspec.json.encode(said), when, source)


def sent(pipeline: Pipeline) -> list[tuple[int, Move]]:
    """Return the moves, by their numbers, each with its partition."""
    found = [
        (partition, move_decoder.decode(value or b""))
        for partition, records in pipeline.log.values(pipeline.topics.interactions.name).items()
        for key, value in records
        if key == COMMAND_KEY and value and msgspec.msgpack.decode(value)[0] != "transfer"
    ]
    return sorted(found, key=lambda each: each[1].number)


def told(pipeline: Pipeline) -> list[tuple[str, str, str]]:
    return [(move.name, move.account, move.to) for _, move in sent(pipeline)]


async def test_a_link_moves_the_row_of_the_other_account_and_its_end_moves_it_back(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    pair(pipeline, 10)
    pair(pipeline, 20, end=True)
    await pipeline.drain(lambda: 1)
    assert told(pipeline) == [
        ("merge", "web:ann", CANONICAL),
        ("route", "web:ann", "web:ann"),
        ("split", "web:ann", "web:ann"),
    ]
    assert all(partition == partition_of(move.row.encode(), 3) for partition, move in sent(pipeline))
    assert [move.time for _, move in sent(pipeline)] == [10, 20, 20]


async def test_an_older_record_through_another_partition_changes_nothing(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    pair(pipeline, 20)
    pair(pipeline, 10, end=True, source=1)
    pair(pipeline, 30, end=True, source=1)
    pair(pipeline, 25)
    await pipeline.drain(lambda: 1)
    assert [name for name, _, _ in told(pipeline)] == ["merge", "route", "split"]


async def test_links_as_0_1_0_had_them_lead_to_the_canonical_user_that_they_name(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    put(pipeline, b"web:ann", b"person-7", 10)
    put(pipeline, b"web:ann", b"person-8", 20)
    put(pipeline, b"web:ann", None, 30)
    await pipeline.drain(lambda: 1)
    merged = ("merge", "web:ann", "person-7")
    assert told(pipeline)[0] == merged
    assert told(pipeline)[-1] == ("split", "web:ann", "web:ann")
    assert ("merge", "web:ann", "person-8") in told(pipeline)


@pytest.mark.parametrize("moment", ["sent", "acknowledged", "written"])
async def test_moves_that_are_sent_again_after_a_crash_have_the_same_numbers(
    plain: Settings, moment: str
) -> None:
    crashed = False

    def crash(step: str) -> bool:
        nonlocal crashed
        if step != f"link: {moment}" or crashed:
            return False
        crashed = True
        return True

    pipeline = Pipeline(plain, crash=crash)
    for number in range(4):
        pair(pipeline, 10 + number, other=f"web:{number}")
    with pytest.raises(CrashError):
        await pipeline.drain()
    again = Pipeline(plain, pipeline.log, pipeline.committed)
    pair(again, 50, end=True, other="web:1")
    await again.drain()
    by_number = {move.number: move for _, move in sent(again)}
    assert all(by_number[move.number] == move for _, move in sent(again))
    assert [move.account for _, move in sorted(by_number.items())][:4] == [f"web:{n}" for n in range(4)]


async def test_a_row_is_kept_of_each_link_also_of_one_that_has_ended(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    pair(pipeline, 10)
    pair(pipeline, 20, end=True)
    put(pipeline, b"tv:1", None, 5)
    await pipeline.drain()
    assert {*pipeline.rows()["people"][FIRST_PARTITION]} - {PARTITION_ROW_KEY} == {
        key_of_link(CANONICAL, "web:ann"),
        b"tv:1",
    }


async def test_a_record_that_the_intake_would_have_refused_is_none_of_ours(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    put(pipeline, b"nonsense", b"x", 10)
    with pytest.raises(AfreshError, match="is none of afresh's"):
        await pipeline.drain()


async def test_after_a_crash_at_any_step_the_moves_are_those_of_a_run_without(plain: Settings) -> None:
    def crashing_at(number: int) -> Pipeline:
        steps = count()
        pipeline = Pipeline(plain, crash=lambda step: step.startswith("link: ") and next(steps) == number)
        for when, other in enumerate(["web:ann", "web:bob", "web:cid"]):
            pair(pipeline, 10 + when, other=other)
        pair(pipeline, 20, end=True, other="web:bob")
        pair(pipeline, 30, end=True, other="web:ann")
        return pipeline

    straight = crashing_at(-1)
    await straight.drain(lambda: 2)
    for number in range(9):
        crashed = crashing_at(number)
        with pytest.raises(CrashError):
            await crashed.drain(lambda: 2)
        again = Pipeline(plain, crashed.log, crashed.committed)
        await again.drain(lambda: 2)
        assert {move.number: move for _, move in sent(again)} == {
            move.number: move for _, move in sent(straight)
        }


async def test_a_link_has_one_row_however_its_key_is_spelled(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    pair(pipeline, 10)
    put(pipeline, b'[ "app:7", "web:\u0061nn" ]', None, 20)
    await pipeline.drain()
    assert {*pipeline.rows()["people"][FIRST_PARTITION]} == {PARTITION_ROW_KEY, b'["app:7","web:ann"]'}
    assert [name for name, _, _ in told(pipeline)] == ["merge", "route", "split"]


async def test_a_link_that_changes_nobody_moves_nothing(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    pair(pipeline, 10, kind="household")
    pair(pipeline, 20, kind="device", confidence=0.5)
    pair(pipeline, 30, other="web:bob", end=True)
    await pipeline.drain()
    assert told(pipeline) == []


async def test_a_worker_that_takes_over_knows_who_is_one_person_and_goes_on_counting(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    pair(pipeline, 10)
    await pipeline.drain()
    after = Pipeline(plain, pipeline.log, pipeline.committed)
    pair(after, 5, other="web:bob")
    pair(after, 20, end=True)
    await after.drain()
    assert [name for name, _, _ in told(after)] == ["merge", "merge", "route", "split"]
    assert [move.time for _, move in sent(after)] == [10, 11, 20, 20]


async def test_a_part_has_as_many_links_as_one_batch_of_rows_takes(plain: Settings) -> None:
    steps: list[str] = []

    def note(step: str) -> bool:
        steps.append(step)
        return False

    limits = BatchLimits({f"{plain.namespace}.people.changelog": 2_000})
    pipeline = Pipeline(plain, crash=note, limits=limits)
    for number in range(20):
        one, other = f"app:{number:0100}", f"web:{number:0100}"
        said = {"accounts": [one, other], "time": 1_600_000_000_000}
        put(pipeline, key_of_link(one, other), msgspec.json.encode(said), 10 + number)
    await pipeline.drain()
    assert 5 < steps.count("link: sent") < 20
    assert len(pipeline.rows()["people"][FIRST_PARTITION]) == 21


def shown() -> dict[str, float]:
    """Return what the metrics say of people."""
    gauges = {
        "links": metrics.LINKS.labels("login"),
        "people": metrics.PEOPLE,
        "largest": metrics.LARGEST_PERSON,
        "hubs": metrics.ACCOUNTS_APART.labels("hub"),
        "too many": metrics.ACCOUNTS_APART.labels("too_many"),
    }
    return {name: gauge._value.get() for name, gauge in gauges.items()}


async def test_links_and_people_are_shown_and_so_they_are_after_a_start(plain: Settings) -> None:
    pipeline = Pipeline(plain)
    accounts = [f"tv:{number:02}" for number in range(70)]
    for one, other in pairwise(accounts):
        said = {"accounts": [one, other], "time": 1_600_000_000_000}
        put(pipeline, key_of_link(one, other), msgspec.json.encode(said), 10)
    pair(pipeline, 10, other="web:ann")
    pair(pipeline, 10, other="web:bob")
    for number in range(9):
        pair(pipeline, 10, other=f"web:{number}", kind="device")
    pair(pipeline, 20, other="web:bob", end=True)
    await pipeline.drain(lambda: 20)
    found = {"links": 70, "people": 1, "largest": 2, "hubs": 1, "too many": 70}
    assert shown() == found
    metrics.PEOPLE.set(0)
    metrics.ACCOUNTS_APART.clear()
    await Pipeline(plain, pipeline.log, pipeline.committed).settle()
    assert shown() == found
