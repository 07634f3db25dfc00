"""Audits after a topic was deleted and made again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from afresh.deploy.ledger.events import FIELDS_OF_0_1_0, OF_0_1_0
from afresh.streams.kafka.sender import OutgoingRecord
from afresh.streams.messages import interaction_decoder
from afresh.streams.settings import Settings
from tests.deploy.ledger.making import judged, played, settings_of
from tests.replay.memory import Pipeline


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


async def test_events_of_a_topic_that_is_gone_are_told_and_new_ones_that_were_never_counted_are_missing(
    settings: Settings,
) -> None:
    before = await played(settings, events=60)
    topics, interactions = before.topics, before.log.values(before.topics.interactions.name)
    before.log.make_again(topics.events.name)
    committed = {
        place: offset for place, offset in before.committed.items() if place[0] != topics.events.name
    }
    after = Pipeline(settings, before.log, committed)
    for number in range(30):
        after.event(id=f"new{number}", user=f"v{number}", item="i1")
    report = judged(after)
    assert (report.events.total, report.events.missing) == (30, 30)
    assert all("is lost" in each or "30 more" in each or "25 more" in each for each in report.differences)
    await after.drain()
    report = judged(after)
    assert report.differences == []
    gone = sum(len(records) for records in interactions.values())
    assert (report.events.once, report.events.missing) == (30, 0)
    assert report.events.unchecked >= gone
    assert report.tallies["received"].unchecked > 0
    assert report.tallies["users"].unchecked == 0
    assert report.tallies["users"].wrong == 0


async def test_an_event_that_comes_again_in_a_topic_that_was_made_again_is_a_duplicate(
    settings: Settings,
) -> None:
    before = await played(settings, events=60)
    events = before.topics.events.name
    old = before.log.values(events)
    before.log.make_again(events)
    committed = {place: offset for place, offset in before.committed.items() if place[0] != events}
    after = Pipeline(settings, before.log, committed)
    for partition, records in old.items():
        for key, value in records:
            after.log.append(events, partition, OutgoingRecord(key, value))
    await after.drain()
    report = judged(after)
    assert report.differences == []
    assert (report.events.once, report.events.missing) == (0, 0)


@pytest.mark.parametrize(
    "names",
    [("interactions",), ("examples",), ("interactions", "examples"), ("items",)],
)
async def test_rows_made_from_a_topic_that_is_gone_are_not_checked_and_never_called_wrong(
    settings: Settings, names: tuple[str, ...]
) -> None:
    before = await played(settings, events=60)
    gone = {before.topics.named(name).name for name in names}
    for name in gone:
        before.log.make_again(name)
    committed = {place: offset for place, offset in before.committed.items() if place[0] not in gone}
    after = Pipeline(settings, before.log, committed)
    for number in range(30):
        after.event(id=f"new{number}", user=f"v{number}", item="i1")
        after.item(f"new{number}")
    await after.drain()
    report = judged(after)
    assert report.differences == []
    table = {"interactions": "users", "examples": "behaviour", "items": "intake"}
    for name in names:
        assert report.tallies[table[name]].unchecked > 0


async def test_items_that_are_not_in_a_keyed_topic_made_again_are_named_and_no_row_is_called_wrong(
    settings: Settings,
) -> None:
    before = await played(settings, events=60)
    before.log.make_again(before.topics.items_keyed.name)
    committed = {
        place: offset
        for place, offset in before.committed.items()
        if place[0] != before.topics.items_keyed.name
    }
    after = Pipeline(settings, before.log, committed)
    after.item("new1")
    after.item("new2")
    await after.drain()
    report = judged(after)
    assert all("was not passed on" in each or "more" in each for each in report.differences)
    assert report.tallies["content"].unchecked > 0


async def test_interactions_of_0_1_0_are_checked_against_the_events_that_are_still_there(
    settings: Settings,
) -> None:
    """They name no incarnation. Where another event stands at their place, its topic was made again since."""
    before = await played(settings, events=60)
    interactions = before.log.partitions[before.topics.interactions.name, 0]
    first = interaction_decoder.decode(interactions[0].value)
    shorter = msgspec.msgpack.encode(msgspec.structs.astuple(first)[:FIELDS_OF_0_1_0])
    assert shorter.startswith(OF_0_1_0)
    interactions[0] = replace(interactions[0], value=shorter)
    assert judged(before).differences == []
    other = msgspec.msgpack.encode(
        [
            *msgspec.structs.astuple(first)[:3],
            "another event",
            *msgspec.structs.astuple(first)[4:FIELDS_OF_0_1_0],
        ]
    )
    interactions[0] = replace(interactions[0], value=other)
    report = judged(before)
    assert report.events.unchecked == 1
