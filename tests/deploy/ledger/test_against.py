from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from afresh.deploy.ledger.against import State, check_against
from afresh.deploy.ledger.reading import newest
from afresh.deploy.ledger.report import Report
from afresh.state.rows import behaviour, users
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics
from tests.deploy.ledger.making import MemoryLogs, settings_of, spoil
from tests.deploy.ledger.test_users import as_0_1_0
from tests.replay.memory import Pipeline


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


async def run(settings: Settings, length: Callable[[], int], later_ms: int = 0) -> Pipeline:
    pipeline = Pipeline(settings)
    spoil(pipeline)
    for records in pipeline.log.partitions.values():
        records[:] = [replace(each, timestamp=each.timestamp + later_ms) for each in records]
    await pipeline.drain(length)
    return pipeline


def state_of(pipeline: Pipeline) -> State:
    rows = pipeline.rows()
    return State(rows["users"], rows["behaviour"])


def compared(state: State, other: Pipeline) -> Report:
    report = Report()
    check_against(MemoryLogs(other.log), Topics(other.settings), state, report)
    return report


async def test_runs_at_another_time_and_with_another_interleaving_are_equal(settings: Settings) -> None:
    one = await run(settings, lambda: 1)
    other = await run(settings, lambda: 1000, later_ms=86_400_000)
    report = compared(state_of(one), other)
    assert report.differences == []
    assert [(each.expected, each.equal) for each in report.tallies.values()] == [(9, 9), (31, 31)]
    ours, theirs = state_of(one).users[0], newest(MemoryLogs(other.log).records(other.topics.users, 0))
    assert ours != theirs, "Kafka's own times differ"


async def test_users_and_items_with_other_counts_are_named(settings: Settings) -> None:
    one = await run(settings, lambda: 20)
    state = state_of(one)
    key, packed = next((k, row) for k, row in state.users[0].items() if k != PARTITION_ROW_KEY)
    row = users.unpack(packed)
    row.revision += 1
    item, kept = next((k, row) for k, row in state.behaviour[1].items() if k != PARTITION_ROW_KEY)
    array = behaviour.unpack([kept]).copy()
    array["examples"] += 1
    changed = State(
        {**state.users, 0: {**state.users[0], key: users.pack(row)}},
        {**state.behaviour, 1: {**state.behaviour[1], item: array.tobytes()}},
    )
    report = compared(changed, one)
    assert [each.split(" instead")[0] for each in report.differences] == [
        f"users of the other run: user {key.decode()!r} differs: revision {row.revision}",
        f"items of the other run: item {item.decode()!r} differs: examples {array['examples'][0]!r}",
    ]


async def test_users_of_only_one_run_are_named(settings: Settings) -> None:
    one, other = await run(settings, lambda: 20), Pipeline(settings)
    report = compared(state_of(one), other)
    tally = report.tallies["users of the other run"]
    assert (tally.expected, tally.surplus) == (0, 9)
    assert any("only this run has user 'web:u0'" in each for each in report.differences)
    report = compared(State({}, {}), one)
    assert report.tallies["items of the other run"].missing == 31


async def test_rows_that_an_earlier_version_began_are_compared_by_what_the_versions_share(
    settings: Settings,
) -> None:
    one = await run(settings, lambda: 20)
    state = state_of(one)
    earlier = {
        partition: {
            key: row if key == PARTITION_ROW_KEY else users.pack(as_0_1_0(users.unpack(row)))
            for key, row in rows.items()
        }
        for partition, rows in state.users.items()
    }
    assert earlier != state.users
    assert compared(State(earlier, state.behaviour), one).differences == []
