import asyncio
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from afresh.state.records import Interaction
from afresh.state.rows.clocks import SAMPLES
from afresh.streams.kafka.sender import OutgoingRecord
from afresh.streams.messages import interaction_decoder
from afresh.streams.runs.run import KafkaRecord, RunDroppedError
from afresh.streams.settings import Settings
from afresh.streams.stages.ingest import PART_RECORDS
from tests.replay import memory
from tests.replay.memory import CLOCK, Pipeline
from tests.streams.making import event_json

HOUR_MS = 3_600_000
NOW_MS = int(CLOCK * 1000)


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, partitions=2, data_dir=tmp_path, list_size=5)


@pytest.fixture
def pipeline(plain: Settings) -> Pipeline:
    return Pipeline(plain)


def put(pipeline: Pipeline, value: bytes | None, key: bytes | None = b"key", partition: int = 0) -> None:
    pipeline.log.append(pipeline.topics.events.name, partition, OutgoingRecord(key, value))


def interactions(pipeline: Pipeline) -> list[Interaction]:
    found = pipeline.log.values(pipeline.topics.interactions.name)
    return [interaction_decoder.decode(value or b"") for records in found.values() for _, value in records]


def headers(letter: KafkaRecord) -> dict[str, str]:
    return {name: value.decode() for name, value in letter.headers}


REFUSED: dict[str, tuple[str, bytes]] = {
    "no JSON": ("malformed", b"{broken"),
    "nothing": ("malformed", b""),
    "bytes": ("malformed", b"\xff\x00\xfe"),
    "no type": ("invalid", event_json(type=...)),
    "unknown version": ("version", event_json(version=2)),
    "before 1990": ("time", event_json(time=631_151_999_999)),
    "text of 1 MiB": ("too_large", event_json(context={"text": "x" * 2**20})),
}
"""One record for each reason; ``tests/streams/test_checks.py`` has the other cases."""


@pytest.mark.parametrize(("reason", "value"), REFUSED.values(), ids=REFUSED.keys())
async def test_unusable_events_go_to_the_dead_letters_and_nothing_else_is_lost(
    pipeline: Pipeline, reason: str, value: bytes
) -> None:
    put(pipeline, event_json(id="before"), partition=1)
    put(pipeline, value, key=b"\xffits own key\0", partition=1)
    put(pipeline, event_json(id="after"), partition=1)
    await pipeline.drain()
    assert [each.event for each in interactions(pipeline)] == ["before", "after"]
    (letter,) = pipeline.letters()
    assert (letter.key, letter.value, letter.partition) == (b"\xffits own key\0", value, 1)
    found = headers(letter)
    assert found.pop("detail")
    assert found == {
        "reason": reason,
        "topic": pipeline.topics.events.name,
        "partition": "1",
        "offset": "1",
        "time": str(NOW_MS),
        "incarnation": "1",
    }


@pytest.mark.parametrize("key", [b"key", None])
async def test_an_event_without_a_value_goes_to_the_dead_letters(
    pipeline: Pipeline, key: bytes | None
) -> None:
    """The dead letter has an empty value: a client refuses a record with neither key nor value."""
    put(pipeline, None, key)
    put(pipeline, event_json())
    await pipeline.drain()
    (letter,) = pipeline.letters()
    assert (letter.key, letter.value) == (key, b"")
    assert headers(letter)["reason"] == "malformed"
    assert headers(letter)["detail"] == "An event has no value."
    assert len(interactions(pipeline)) == 1


ODD = [
    "with a space",
    " ",
    "🎬🍿",
    "nul\0nul",
    "e\u0301",
    "\u202eright to left",
    "a:b:c",
    "../..",
    '"\\',
    "\n",
    "\ufeff",
]


@pytest.mark.parametrize("name", ODD)
async def test_ids_of_any_characters_are_taken_in_and_their_users_served(
    pipeline: Pipeline, name: str
) -> None:
    pipeline.item(name)
    pipeline.item("other")
    await pipeline.drain()
    put(pipeline, event_json(id=name, user=name, item="other", session=name, domain=name))
    await pipeline.drain()
    assert pipeline.letters() == []
    served = pipeline.store.lists[f"web:{name}"]
    assert served.last_event == name
    assert [item.id for item in served.items] == [name]


@pytest.mark.parametrize(
    ("time", "milliseconds"),
    [
        (631_152_000_000, 631_152_000_000),
        (NOW_MS + 24 * HOUR_MS, NOW_MS + 24 * HOUR_MS),
        ("2023-11-14T22:13:20.123456+02:00", 1_699_992_800_123),
        ("1990-01-01T00:00:00Z", 631_152_000_000),
    ],
)
async def test_times_become_ms(pipeline: Pipeline, time: Any, milliseconds: int) -> None:
    put(pipeline, event_json(time=time))
    await pipeline.drain()
    assert [each.time for each in interactions(pipeline)] == [milliseconds]


async def test_settings_limit_how_far_ahead_and_how_large_events_may_be(tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None,
        partitions=1,
        data_dir=tmp_path,
        clock_ahead_hours=1,
        text_limit_bytes=len(event_json()),
    )
    pipeline = Pipeline(settings)
    put(pipeline, event_json())
    put(pipeline, event_json(id="e2", time=NOW_MS + HOUR_MS + 1))
    put(pipeline, event_json() + b" ")
    await pipeline.drain()
    assert [headers(letter)["reason"] for letter in pipeline.letters()] == ["time", "too_large"]


def watch(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, minutes: range, ahead_ms: int) -> None:
    """Put an event of a television with a wrong clock, and one of the web, in each minute."""
    for minute in minutes:
        monkeypatch.setattr(memory, "CLOCK", CLOCK + 60 * minute)
        now = NOW_MS + 60_000 * minute
        put(pipeline, event_json(id=f"tv {minute}", platform="tv", time=now + ahead_ms - minute % 7))
        put(pipeline, event_json(id=f"web {minute}", platform="web", time=now - minute % 7))


@pytest.mark.parametrize("hours", [-8, 14])
async def test_times_of_a_platform_with_a_wrong_clock_are_put_right_after_half_an_hour_across_restarts(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    for start in range(0, SAMPLES + 10, 7):
        watch(pipeline, monkeypatch, range(start, start + 7), hours * HOUR_MS)
        await pipeline.drain(lambda: 3)
        pipeline = Pipeline(pipeline.settings, log=pipeline.log, committed=pipeline.committed)
    errors = {each.event: each.time - each.received for each in interactions(pipeline)}
    for name, error in errors.items():
        platform, minute = name.split()
        wrong = hours * HOUR_MS if platform == "tv" and int(minute) < SAMPLES else 0
        assert error == wrong - int(minute) % 7
    labels = {"platform": "tv"}
    assert REGISTRY.get_sample_value("afresh_platform_clock_offset_seconds", labels) == -hours * 3600


async def test_a_platform_that_is_refused_for_its_clock_comes_through_once_the_clock_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(Settings(_env_file=None, partitions=1, data_dir=tmp_path, clock_ahead_hours=1))
    watch(pipeline, monkeypatch, range(SAMPLES + 10), 8 * HOUR_MS)
    await pipeline.drain()
    assert [headers(letter)["reason"] for letter in pipeline.letters()] == ["time"] * SAMPLES
    found = [each for each in interactions(pipeline) if each.platform == "tv"]
    assert [each.event for each in found] == [f"tv {SAMPLES + number}" for number in range(10)]
    assert all(-7 < each.time - each.received <= 0 for each in found)


async def test_an_interaction_keeps_every_field_of_its_event(pipeline: Pipeline) -> None:
    put(pipeline, b"{}")
    put(
        pipeline,
        event_json(
            type="rating", value=4.5, session="s1", context={"device": "tv", "n": 2**63 - 1}, extra=[1]
        ),
    )
    await pipeline.drain()
    assert interactions(pipeline) == [
        Interaction(
            source=0,
            offset=1,
            received=NOW_MS,
            event="e1",
            type="rating",
            time=1_699_990_000_000,
            user="web:ann",
            item="i1",
            platform="web",
            domain="films",
            value=4.5,
            session="s1",
            context={"device": "tv", "n": 2**63 - 1},
            incarnation=1,
        )
    ]


async def test_an_event_sent_again_after_a_restart_is_dropped(pipeline: Pipeline) -> None:
    put(pipeline, event_json(id="e1"))
    await pipeline.drain()
    pipeline = Pipeline(pipeline.settings, log=pipeline.log, committed=pipeline.committed)
    put(pipeline, event_json(id="e1"))
    put(pipeline, event_json(id="e2"))
    await pipeline.drain()
    assert [each.event for each in interactions(pipeline)] == ["e1", "e2"]
    assert pipeline.letters() == []


async def test_a_run_longer_than_a_part_loses_nothing(tmp_path: Path) -> None:
    pipeline = Pipeline(Settings(_env_file=None, partitions=1, data_dir=tmp_path))
    for number in range(PART_RECORDS + 10):
        put(pipeline, event_json(id=f"e{number}"))
    ingest = pipeline.topics.events.name
    await pipeline.step(ingest, 0, 100_000)
    assert [each.event for each in interactions(pipeline)] == [f"e{n}" for n in range(PART_RECORDS + 10)]


async def test_ids_of_a_dropped_run_do_not_count_as_duplicates(pipeline: Pipeline) -> None:
    pipeline.event(id="e1")
    topic = pipeline.topics.events.name
    (partition,) = [partition for name, partition in pipeline.waiting() if name == topic]
    runner: Any = pipeline.agents[topic].__self__._runner  # type: ignore[attr-defined]

    def moved(_: str) -> bool:
        raise RunDroppedError

    runner.crash = moved
    with pytest.raises(RunDroppedError):
        await pipeline.step(topic, partition, 10)
    pipeline.log.partitions.pop((pipeline.topics.interactions.name, partition), None)
    runner.crash = lambda _: False
    await pipeline.tables["received"].on_rebalance(set(), set(), set())
    await pipeline.step(topic, partition, 10)
    assert [each.event for each in interactions(pipeline)] == ["e1"]


any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.integers(-(2**70), 2**70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(
    ["id", "type", "time", "user", "item", "platform", "domain", "value", "session", "context", "version"]
)
good = st.builds(
    lambda number, user: event_json(id=f"e{number}", user=user),
    st.integers(0, 5),
    st.text(min_size=1, max_size=3),
)
bent = st.builds(lambda name, value: bent_event(name, value), fields, any_json)
torn = st.builds(lambda value, at: value[:at], good, st.integers(0, 130))
values = st.one_of(
    st.none(), st.binary(max_size=40), any_json.map(lambda value: encoded(value)), good, bent, torn
)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def bent_event(name: str, value: Any) -> bytes:
    return encoded(msgspec.json.decode(event_json()) | {name: value})


@pytest.mark.slow
@given(
    st.lists(st.tuples(values, st.none() | st.binary(max_size=5), st.integers(0, 1)), max_size=12),
    st.randoms(use_true_random=False),
)
@limits(deadline=None, max_examples=100)
def test_every_event_becomes_an_interaction_a_duplicate_or_a_dead_letter(
    tmp_path_factory: pytest.TempPathFactory,
    sent: list[tuple[bytes | None, bytes | None, int]],
    draw: random.Random,
) -> None:
    pipeline = Pipeline(
        Settings(_env_file=None, partitions=2, data_dir=tmp_path_factory.getbasetemp(), list_size=5)
    )
    for value, key, partition in sent:
        put(pipeline, value, key, partition)
    asyncio.run(pipeline.drain(lambda: draw.choice([1, 2, 5])))

    made = {(each.source, each.offset): each.event for each in interactions(pipeline)}
    dead = {
        (int(headers(each)["partition"]), int(headers(each)["offset"])): each for each in pipeline.letters()
    }
    assert len(made) + len(dead) == len(interactions(pipeline)) + len(pipeline.letters())
    assert not made.keys() & dead.keys()
    for partition in range(2):
        known: set[str] = set()
        for sent_record in pipeline.log.partitions[pipeline.topics.events.name, partition]:
            place = (partition, sent_record.offset)
            if place in dead:
                assert (dead[place].key, dead[place].value) == (sent_record.key, sent_record.value or b"")
            elif place in made:
                known.add(made[place])
            else:
                assert msgspec.json.decode(sent_record.value or b"")["id"] in known
