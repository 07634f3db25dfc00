"""The audit finds any record that is lost or changed, in any topic."""

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
"""Topic, partition and offset of a record."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Settings, topics and lists of a run without faults."""
    settings = settings_of(tmp_path_factory.mktemp("planted"))
    pipeline = asyncio.run(played(settings, events=120))
    served = lists_of(pipeline)
    assert judged(pipeline, served).differences == []
    return settings, pipeline.log, served


def spots(run: Run, names: tuple[str, ...]) -> list[Spot]:
    """Return the records of some topics that matter: in changelogs the newest of each key, without partition rows."""
    _, log, _ = run
    found = []
    for (topic, partition), records in sorted(log.partitions.items()):
        name = topic.removeprefix("afresh.").removesuffix(".changelog").replace("events.dlq", "dead_letters")
        newest = {record.key: offset for offset, record in enumerate(records)}
        found += [
            (topic, partition, offset)
            for offset, record in enumerate(records)
            if name in names
            and (name in LOGS or (newest[record.key] == offset and record.key != PARTITION_ROW_KEY))
        ]
    return found


def spoiled(run: Run, spot: Spot, record: KafkaRecord | None) -> list[str]:
    """Replace a record, or with None delete it (from a changelog all records of its key); return the differences."""
    settings, log, served = run
    topic, partition, offset = spot
    own = Log()
    own.partitions.update(log.partitions)
    records = own.partitions[topic, partition] = list(log.partitions[topic, partition])
    if record is not None:
        records[offset] = record
    elif topic.endswith("changelog"):
        records[:] = [each for each in records if each.key != records[offset].key]
    else:
        del records[offset]
    # A new pipeline gets only the topics: one that restarts from them would stop at an unreadable row.
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
    topic, partition, offset = spot
    record = run[1].partitions[topic, partition][offset]
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
        f"lists: user {user!r} has no list"
    ]
    swapped = {**served.users, user: served.users[other]}
    assert any(
        f"the list of user {user!r}" in each
        for each in judged(pipeline, ListsInRedis(swapped, served.domains)).differences
    )
