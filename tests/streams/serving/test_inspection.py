"""The inspection of the lists in Redis: what is lost is found within a bound, and made again by the sweep."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from math import ceil
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from redis.exceptions import ConnectionError as NoRedisError
from redis.exceptions import NoPermissionError

from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.lists import Due, Found, PopularList, UserList
from afresh.state.rows.users import pack
from afresh.streams.serving import inspection as module
from afresh.streams.serving import popular, push
from afresh.streams.serving.inspection import (
    INSPECTION_SECONDS,
    LAP_SECONDS,
    ROUND_USERS,
    SAY_SECONDS,
    Inspection,
)
from afresh.streams.serving.lister import Lister
from afresh.streams.serving.popular import PopularLists
from afresh.streams.serving.recommend import BACKLOG, SERVED_BYTES, Recommender
from afresh.streams.serving.served import ServedLists
from afresh.streams.serving.sweep import Sweep
from afresh.streams.serving.weights import NewestWeights
from tests.streams.making import FakeStore, FakeUsers, catalogue_of, let_others_run, user_row

EARLY, LATE = "2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z"
NOBODY: set[str] = set()


def list_of(user: str, revision: int = 1, generated_at: str = LATE) -> UserList:
    return UserList(5, revision, generated_at, user, "e1", "m", [])


class World:
    """An inspection of users of two partitions, whose lists all stand in Redis."""

    def __init__(self, *users: str) -> None:
        self.seconds = 0.0
        self.store = FakeStore()
        self.users = FakeUsers()
        self.users.rows = {0: {}, 1: {}}
        self.sweep = Sweep(self.users.names, 100)
        store: Any = self.store
        self.popular = PopularLists(
            Lister(Catalogue(), 5), store, ServedLists(SERVED_BYTES), NewestWeights(), dict
        )
        self.inspection = Inspection(store, self.users, self.sweep, self.popular, lambda: self.seconds)
        for number, user in enumerate(users):
            self.add(user, number % 2)

    def add(self, user: str, partition: int = 0) -> None:
        self.users.rows[partition][user] = pack(user_row("i1"))
        self.sweep.note_made(user, partition, (1, 0), LATE)
        self.store.held[user] = list_of(user)

    def mended(self) -> dict[str, int]:
        """Take the users whose lists the sweep makes again because they are lost."""
        return self.sweep.outdated(self.sweep.lost, 0.0, {0: (1, 0), 1: (1, 0)}) if self.sweep.lost else {}


async def test_a_missing_list_and_one_that_is_older_than_the_row_or_than_what_was_made_are_found() -> None:
    world = World("ann", "bob", "cid", "dan")
    del world.store.held["ann"]
    world.store.held["bob"] = list_of("bob", revision=0)
    world.store.held["cid"] = list_of("cid", generated_at=EARLY)
    world.store.held["dan"] = list_of("dan", revision=2)
    await world.inspection.look(NOBODY)
    assert world.mended() == {"ann": 0, "bob": 1, "cid": 0}


async def test_a_list_missing_under_the_key_of_any_account_is_found_and_a_row_that_has_moved_needs_none() -> (
    None
):
    world = World("ann", "bob")
    row = user_row("i1")
    row.accounts = ("", "tv:1")
    world.users.rows[0]["ann"] = pack(row)
    row.to = "ann"
    world.users.rows[1]["bob"] = pack(row)
    del world.store.held["bob"]
    await world.inspection.look(NOBODY)
    assert world.mended() == {"ann": 0}
    assert {*world.store.looks[-1]} == {"ann", "tv:1"}


async def test_a_user_without_a_row_or_of_another_worker_is_never_looked_at() -> None:
    world = World("ann", "bob", "forgotten", "moved")
    await world.inspection.look(NOBODY)
    del world.users.rows[0]["forgotten"], world.users.rows[1]
    world.inspection.begin_anew()
    world.store.held.clear()
    await world.inspection.look(NOBODY)
    assert [set(each) for each in world.store.looks] == [{"ann", "bob", "forgotten", "moved"}, {"ann"}]


async def test_a_user_forgotten_in_the_middle_of_a_lap_is_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ROUND_USERS", 1)
    world = World("ann", "bob", "cid")
    await world.inspection.look(NOBODY)
    del world.users.rows[0]["cid"]
    world.store.held.clear()
    await world.inspection.look(NOBODY)
    assert [set(each) for each in world.store.looks] == [{"ann"}, set()]


async def test_users_who_wait_for_a_list_are_not_looked_at() -> None:
    world = World("ann", "bob")
    world.store.held.clear()
    await world.inspection.look({"ann"})
    assert world.mended() == {"bob": 1}


async def test_while_lost_lists_wait_to_be_made_again_no_more_are_looked_for() -> None:
    world = World("ann")
    world.store.held.clear()
    for _ in range(3):
        await world.inspection.look(NOBODY)
    assert len(world.store.looks) == 1
    assert world.mended() == {"ann": 0}
    await world.inspection.look(NOBODY)
    assert len(world.store.looks) == 2


async def test_users_of_a_round_that_redis_did_not_answer_are_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ROUND_USERS", 1)
    world = World("ann", "bob")
    world.store.failures = [NoRedisError("down"), TimeoutError()]
    for _ in range(4):
        await world.inspection.look(NOBODY)
    assert [set(each) for each in world.store.looks] == [{"ann"}, {"bob"}]


async def test_while_partitions_are_assigned_nothing_is_looked_at() -> None:
    world = World("ann")
    rows, world.users.rows = world.users.rows, {}
    await world.inspection.look(NOBODY)
    assert world.store.looks == []
    world.users.rows = rows
    await world.inspection.look(NOBODY)
    assert len(world.store.looks) == 1


async def test_what_was_found_in_a_partition_that_moved_away_meanwhile_is_left_to_its_new_owner() -> None:
    world = World("ann", "bob")
    look = world.store.look

    async def look_while_a_partition_moves(users: Mapping[str, Due]) -> dict[str, Found]:
        del world.users.rows[1]
        world.sweep.keep_only({0})
        world.inspection.begin_anew()
        return await look(users)

    world.store.held.clear()
    world.store.look = look_while_a_partition_moves  # type: ignore[method-assign]
    await world.inspection.look(NOBODY)
    assert world.mended() == {"ann": 0}
    assert world.sweep.lost == 0


names = st.integers(0, 40)


@given(
    users=st.sets(names, min_size=1),
    before=st.integers(0, 12),
    at_once=st.integers(1, 9),
    data=st.data(),
)
def test_any_loss_is_found_within_users_by_rate_rounds_and_no_round_asks_for_more(
    users: set[int], before: int, at_once: int, data: st.DataObject
) -> None:
    lost = data.draw(st.sets(st.sampled_from(sorted(users))))

    async def act(world: World) -> None:
        for _ in range(before):
            await world.inspection.look(NOBODY)
        for number in lost:
            if number % 2:
                del world.store.held[f"u{number}"]
            else:
                world.store.held[f"u{number}"] = list_of(f"u{number}", generated_at=EARLY)
        found = set[str]()
        for _ in range(ceil(len(users) / at_once)):
            await world.inspection.look(NOBODY)
            found |= set(world.mended())
        assert found == {f"u{number}" for number in lost}
        assert max(map(len, world.store.looks)) <= at_once

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROUND_USERS", at_once)
        asyncio.run(act(World(*(f"u{number}" for number in sorted(users)))))


async def test_a_lap_over_few_users_is_followed_by_a_rest_and_no_other_round_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ROUND_USERS", 2)
    world = World("ann", "bob", "cid")
    rests = list[float]()
    for _ in range(4):
        await world.inspection.look(NOBODY)
        rests.append(world.inspection.rest_seconds())
        world.seconds += rests[-1]
    assert rests == [INSPECTION_SECONDS, LAP_SECONDS - INSPECTION_SECONDS] * 2
    world.store.failures = [NoRedisError("down")]
    await world.inspection.look(NOBODY)
    assert world.inspection.rest_seconds() == INSPECTION_SECONDS


def counted(what: str) -> float:
    return REGISTRY.get_sample_value("afresh_inspected_lists_total", {"found": what}) or 0.0


async def test_what_was_found_is_counted() -> None:
    world = World("ann", "bob", "cid")
    del world.store.held["ann"]
    world.store.held["bob"] = list_of("bob", generated_at=EARLY)
    before = [counted(what) for what in ("right", "missing", "stale")]
    await world.inspection.look(NOBODY)
    assert [counted(what) for what in ("right", "missing", "stale")] == [each + 1 for each in before]


async def test_losses_are_said_at_once_and_then_seldom_with_their_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World("ann", "bob")
    world.store.policy = "volatile-lru"
    for _ in range(4):
        world.seconds += SAY_SECONDS / 3
        del world.store.held["ann"]
        await world.inspection.look(NOBODY)
        for user in world.mended():
            world.store.held[user] = list_of(user)
    lost = "Redis has lost lists: %d are missing and 0 are older than they should be; they are made again"
    evicts = (
        "Redis evicts lists when it is full (maxmemory-policy volatile-lru); "
        "use noeviction, and give it more memory"
    )
    assert [each.getMessage() for each in caplog.records] == [lost % 1, evicts, lost % 3, evicts]


@pytest.mark.parametrize("failures", [[], [NoPermissionError("no right to INFO")], [NoRedisError("down")]])
async def test_a_redis_that_evicts_nothing_or_does_not_tell_is_no_reason_to_warn(
    failures: list[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    world = World()
    world.store.failures = failures
    await world.inspection.warn_of_eviction()
    assert caplog.records == []


# The inspection inside a Recommender.


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    monkeypatch.setattr(push, "RETRY_SECONDS", (0.0,))
    monkeypatch.setattr(popular, "POPULAR_SECONDS", 0.0)
    return FakeStore()


def recommender_of(store: FakeStore, waiting: int = 0) -> Recommender:
    catalogue = catalogue_of(*(f"i{number}" for number in range(20)))
    made = Recommender(catalogue, store, Lister(catalogue, 5), FakeUsers(), lambda: waiting)  # type: ignore[arg-type]
    table: Any = made._users
    table.rows[0] = dict.fromkeys(("ann", "bob"), pack(user_row("i1")))
    made.request(0, {"ann": 5, "bob": 5})
    return made


async def test_lists_that_redis_lost_singly_come_back_though_nothing_has_changed(store: FakeStore) -> None:
    recommender = recommender_of(store)
    await recommender.turn()
    await recommender.refresh(0.0)
    whole, pushed = dict(store.held), len(store.pushes)
    del store.held["ann"]
    store.held["bob"] = msgspec.structs.replace(whole["bob"], generated_at=EARLY)
    await recommender.look_for_lost()
    # However young they are.
    assert await recommender.refresh(60.0) == 2
    assert len(store.pushes) == pushed + 1
    assert {user: each.items for user, each in store.held.items()} == {
        user: each.items for user, each in whole.items()
    }
    assert store.held["bob"].generated_at >= whole["bob"].generated_at
    await recommender.look_for_lost()
    assert await recommender.refresh(60.0) == 0


@pytest.mark.parametrize("loss", ["missing", "stale"])
async def test_popular_lists_that_redis_lost_come_back(store: FakeStore, loss: str) -> None:
    recommender = recommender_of(store)
    await recommender.turn()
    looping = asyncio.create_task(recommender.popular.loop())
    await let_others_run()
    whole = store.held_popular.pop("films")
    if loss == "stale":
        store.held_popular["films"] = PopularList(0, 0, EARLY, "films", [])
    await recommender.look_for_lost()
    await let_others_run()
    looping.cancel()
    assert store.held_popular["films"].items == whole.items


async def test_no_list_is_in_the_making_during_a_round_and_a_backlog_comes_first(store: FakeStore) -> None:
    recommender = recommender_of(store)
    store.up.clear()
    turning = asyncio.create_task(recommender.turn())
    await let_others_run()
    looking = asyncio.create_task(recommender.look_for_lost())
    await let_others_run()
    assert store.looks == []
    store.up.set()
    await asyncio.gather(turning, looking)
    assert [set(each) for each in store.looks] == [{"ann", "bob"}]
    await recommender_of(store, BACKLOG + 1).look_for_lost()
    assert len(store.looks) == 1


def test_a_round_is_small() -> None:
    assert ROUND_USERS <= 200
