"""Whichever record is lost or changed in whichever topic: the audit does not call the run clean."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from afresh.deploy.ledger.served import ListsInRedis
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.runs.run import KafkaRecord
from afresh.streams.settings import Settings
from tests.deploy.ledger.making import judged, lists_of, played, settings_of
from tests.replay.memory import Log, Pipeline

pytestmark = pytest.mark.slow

LOGS = ("interactions", "examples", "dead_letters")
TABLES = ("received", "users", "behaviour", "content")

Run = tuple[Settings, Log, ListsInRedis]
Spot = tuple[str, int, int]
"""Topic, partition and place of a record."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What a run without faults leaves behind."""
    settings = settings_of(tmp_path_factory.mktemp("planted"))
    pipeline = asyncio.run(played(settings, events=120))
    served = lists_of(pipeline)
    assert judged(pipeline, served).differences == []
    return settings, pipeline.log, served


def spots(run: Run, names: tuple[str, ...]) -> list[Spot]:
    """Records of some topics that say something: in changelogs, the newest of each key but the partition's own."""
    _, log, _ = run
    found = []
    for (topic, partition), records in sorted(log.partitions.items()):
        name = topic.removeprefix("afresh.").removesuffix(".changelog").replace("events.dlq", "dead_letters")
        newest = {record.key: place for place, record in enumerate(records)}
        found += [
            (topic, partition, place)
            for place, record in enumerate(records)
            if name in names
            and (name in LOGS or (newest[record.key] == place and record.key != PARTITION_ROW_KEY))
        ]
    return found


def spoiled(run: Run, spot: Spot, record: KafkaRecord | None) -> list[str]:
    """Differences after a record was replaced, or taken out with all others of its key."""
    settings, log, served = run
    topic, partition, place = spot
    own = Log()
    own.partitions.update(log.partitions)
    records = own.partitions[topic, partition] = list(log.partitions[topic, partition])
    if record is not None:
        records[place] = record
    elif topic.endswith("changelog"):
        records[:] = [each for each in records if each.key != records[place].key]
    else:
        del records[place]
    # Not the pipeline's restart but its topics are judged, so that a row that can not be read does not stop it.
    pipeline = Pipeline(settings)
    pipeline.log = own
    return judged(pipeline, served).differences


@given(st.data())
@limits(max_examples=60)
def test_no_record_can_be_lost(run: Run, data: st.DataObject) -> None:
    spot = data.draw(st.sampled_from(spots(run, (*LOGS, *TABLES))))
    assert spoiled(run, spot, None)


@given(st.data())
@limits(max_examples=60)
def test_no_bit_of_a_row_or_a_record_can_be_changed(run: Run, data: st.DataObject) -> None:
    spot = data.draw(st.sampled_from(spots(run, (*LOGS, *TABLES))))
    topic, partition, place = spot
    record = run[1].partitions[topic, partition][place]
    bit = data.draw(st.integers(0, 8 * len(record.value) - 1))
    changed = bytearray(record.value)
    changed[bit // 8] ^= 1 << bit % 8
    assert spoiled(run, spot, replace(record, value=bytes(changed)))


@given(st.data())
@limits(max_examples=30)
def test_no_list_can_be_lost_or_given_to_another(run: Run, data: st.DataObject) -> None:
    settings, log, served = run
    user, other = data.draw(
        st.lists(st.sampled_from(sorted(served.users)), min_size=2, max_size=2, unique=True)
    )
    pipeline = Pipeline(settings)
    pipeline.log = log
    lost = {name: packed for name, packed in served.users.items() if name != user}
    assert judged(pipeline, ListsInRedis(lost, served.domains)).differences == [
        f"lists: user {user!r} has none"
    ]
    swapped = {**served.users, user: served.users[other]}
    assert any(
        f"that of user {user!r}" in each
        for each in judged(pipeline, ListsInRedis(swapped, served.domains)).differences
    )
