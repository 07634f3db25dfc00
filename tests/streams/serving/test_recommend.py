import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.exceptions import ConnectionError as NoRedisError

from afresh.models import scorers
from afresh.models.retrieval.asking import Items
from afresh.models.scoring import Candidates, Request, score_lists
from afresh.state.catalogue.alone import AloneCatalogue
from afresh.state.judged.examples import UNJUDGED
from afresh.state.rows import content, weights
from afresh.state.rows.content import ContentRow
from afresh.state.rows.users import pack
from afresh.streams.serving import popular, push, recommend, requests
from afresh.streams.serving.lister import Lister
from afresh.streams.serving.pool import ScoringPool
from afresh.streams.serving.recommend import BACKLOG, BATCH_USERS, PATIENCE_SECONDS, Recommender
from afresh.streams.serving.requests import RUNS_WAITING
from tests.streams.making import FakeEvent, FakeStore, FakeUsers, let_others_run, run_of, took, user_row

ITEMS = [f"i{number}" for number in range(20)]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score lists here and now, so that a test knows when they are done."""

    async def here(_: ScoringPool, requests: Sequence[Request], items: Items) -> list[Candidates]:
        return score_lists(requests, items)

    monkeypatch.setattr(ScoringPool, "score_lists", here)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    monkeypatch.setattr(push, "RETRY_SECONDS", (0.0,))
    return FakeStore()


@pytest.fixture
def catalogue() -> AloneCatalogue:
    catalogue = AloneCatalogue()
    described = content.pack(ContentRow(domain="films"))
    catalogue.apply_content({item.encode(): described for item in ITEMS})
    return catalogue


@pytest.fixture
def recommender(catalogue: AloneCatalogue, store: FakeStore) -> Recommender:
    return Recommender(catalogue, store, Lister(catalogue, 5), FakeUsers())  # type: ignore[arg-type]


def ask(recommender: Recommender, *names: str, revision: int = 1, partition: int = 0) -> None:
    row = user_row("i1", revision=revision)
    table: Any = recommender._users
    table.rows.setdefault(partition, {}).update(dict.fromkeys(names, pack(row)))
    recommender.request(partition, dict.fromkeys(names, 5))


async def finished(recommender: Recommender) -> FakeEvent:
    run, event = run_of()
    await recommender.requests.commit_once_served(run)
    return event


USERS = BATCH_USERS + 8


@pytest.fixture
def few_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for a few users only."""
    monkeypatch.setattr(requests, "USERS_WAITING", USERS)


async def test_a_user_who_asks_repeatedly_gets_one_list_per_turn_from_the_newest_row(
    recommender: Recommender, store: FakeStore
) -> None:
    for revision in (1, 2, 3):
        ask(recommender, "ann", revision=revision)
    ask(recommender, "bob")
    await recommender.turn()
    (lists,) = store.pushes
    assert {each.user: each.revision for each in lists} == {"ann": 3, "bob": 1}


async def test_without_waiting_users_nothing_is_pushed_and_runs_are_done(
    recommender: Recommender, store: FakeStore
) -> None:
    event = await finished(recommender)
    await recommender.turn()
    assert store.pushes == []
    assert event.acks == 1


async def test_a_user_is_served_once_per_request(recommender: Recommender, store: FakeStore) -> None:
    ask(recommender, "ann")
    await recommender.turn()
    await recommender.turn()
    assert len(store.pushes) == 1


async def test_many_users_are_served_in_batches(recommender: Recommender, store: FakeStore) -> None:
    names = [f"u{number}" for number in range(2 * BATCH_USERS + 1)]
    ask(recommender, *names)
    await recommender.turn()
    assert [len(lists) for lists in store.pushes] == [BATCH_USERS, BATCH_USERS, 1]
    assert [each.user for lists in store.pushes for each in lists] == names


async def test_a_run_is_done_only_when_its_lists_are_in_redis(
    recommender: Recommender, store: FakeStore
) -> None:
    store.up.clear()
    ask(recommender, *(f"u{number}" for number in range(BATCH_USERS + 1)))
    event = await finished(recommender)
    turning = asyncio.create_task(recommender.turn())
    await let_others_run()
    assert event.acks == 0
    store.up.set()
    await turning
    assert event.acks == 1
    assert sum(map(len, store.pushes)) == BATCH_USERS + 1


async def test_a_run_that_ends_during_a_turn_waits_for_the_next_one(
    recommender: Recommender, store: FakeStore
) -> None:
    store.up.clear()
    ask(recommender, "ann")
    first = await finished(recommender)
    turning = asyncio.create_task(recommender.turn())
    await let_others_run()
    ask(recommender, "ann", revision=2)
    second = await finished(recommender)
    store.up.set()
    await turning
    assert (first.acks, second.acks) == (1, 0)
    await recommender.turn()
    assert second.acks == 1
    assert [each.revision for lists in store.pushes for each in lists] == [1, 2]


@pytest.mark.parametrize("failure", [NoRedisError("down"), ConnectionResetError(), TimeoutError()])
async def test_while_redis_is_down_lists_are_retried_and_no_run_is_done(
    recommender: Recommender, store: FakeStore, failure: Exception
) -> None:
    store.failures = [failure] * 7
    ask(recommender, "ann")
    event = await finished(recommender)
    before = REGISTRY.get_sample_value("afresh_redis_retries_total") or 0.0
    await recommender.turn()
    assert event.acks == 1
    assert [each.user for lists in store.pushes for each in lists] == ["ann"]
    assert REGISTRY.get_sample_value("afresh_redis_retries_total") == before + 7


async def test_when_redis_is_slow_the_runs_wait_instead_of_piling_up(
    recommender: Recommender, store: FakeStore
) -> None:
    store.up.clear()
    ask(recommender, "ann")
    events = [await finished(recommender) for _ in range(RUNS_WAITING)]
    one_more = asyncio.create_task(finished(recommender))
    turning = asyncio.create_task(recommender.turn())
    await let_others_run()
    assert not one_more.done()
    store.up.set()
    await turning
    last = await one_more
    assert {event.acks for event in events} == {1}
    assert last.acks == 0
    await recommender.turn()
    assert last.acks == 1


async def test_when_redis_is_slow_the_number_of_waiting_users_is_limited(
    recommender: Recommender, store: FakeStore, few_waiting: None
) -> None:
    store.up.clear()
    ask(recommender, *(f"u{number}" for number in range(USERS + BATCH_USERS)))
    one_more = asyncio.create_task(recommender.requests.wait_for_room())
    turning = asyncio.create_task(recommender.turn())
    await let_others_run()
    assert not one_more.done(), "a run with more users than there is room for makes the next run wait"
    store.up.set()
    await turning
    await one_more
    assert sum(map(len, store.pushes)) == USERS + BATCH_USERS


async def test_users_whose_partition_moved_away_make_room(
    recommender: Recommender, few_waiting: None
) -> None:
    ask(recommender, *(f"u{number}" for number in range(USERS)), partition=1)
    waiting = asyncio.create_task(recommender.requests.wait_for_room())
    await let_others_run()
    assert not waiting.done()
    recommender.keep_only({0})
    await waiting


async def test_a_user_who_asks_during_a_turn_comes_after_those_of_the_turn(
    recommender: Recommender, store: FakeStore
) -> None:
    store.up.clear()
    ask(recommender, *(f"u{number}" for number in range(BATCH_USERS + 1)))
    turning = asyncio.create_task(recommender.turn())
    await let_others_run()
    ask(recommender, "u0", "new", f"u{BATCH_USERS}", revision=2)
    store.up.set()
    await turning
    made = [(each.user, each.revision) for lists in store.pushes for each in lists]
    assert made[BATCH_USERS:] == [(f"u{BATCH_USERS}", 2)]
    await recommender.turn()
    assert [(each.user, each.revision) for each in store.pushes[-1]] == [("u0", 2), ("new", 2)]


async def test_the_loop_serves_every_waiting_user(recommender: Recommender, store: FakeStore) -> None:
    looping = asyncio.create_task(recommender.loop())
    for revision in (1, 2):
        ask(recommender, "ann", revision=revision)
        event = await finished(recommender)
        await let_others_run()
        assert event.acks == 1
    assert [each.revision for lists in store.pushes for each in lists] == [1, 2]
    looping.cancel()


class Backlog:
    """A number of waiting records, and a clock; sleeping takes no real time."""

    def __init__(self, records: int) -> None:
        self.records = records
        self.seconds = 100.0


@pytest.fixture
def backlog(monkeypatch: pytest.MonkeyPatch) -> Backlog:
    backlog = Backlog(BACKLOG + 1)
    clock = SimpleNamespace(
        monotonic=lambda: backlog.seconds,
        time=time.time,
        time_ns=time.time_ns,
        perf_counter=time.perf_counter,
    )
    monkeypatch.setattr(recommend, "time", clock)
    monkeypatch.setattr(recommend, "BACKLOG_POLL_SECONDS", 0.0)
    monkeypatch.setattr(requests, "RUNS_WAITING", 2)
    return backlog


@pytest.fixture
def behind(catalogue: AloneCatalogue, store: FakeStore, backlog: Backlog) -> Recommender:
    """Recommender that sees the backlog."""
    return Recommender(catalogue, store, Lister(catalogue, 5), FakeUsers(), lambda: backlog.records)  # type: ignore[arg-type]


async def test_lists_wait_until_a_backlog_is_worked_off(
    behind: Recommender, store: FakeStore, backlog: Backlog
) -> None:
    looping = asyncio.create_task(behind.loop())
    ask(behind, "ann")
    event = await finished(behind)
    await let_others_run()
    ask(behind, "ann", revision=2)
    await let_others_run()
    assert (store.pushes, event.acks) == ([], 0)
    backlog.records = BACKLOG
    await let_others_run()
    assert [each.revision for lists in store.pushes for each in lists] == [2]
    assert event.acks == 1
    looping.cancel()


async def test_lists_wait_for_a_backlog_only_for_a_limited_time(
    behind: Recommender, store: FakeStore, backlog: Backlog
) -> None:
    looping = asyncio.create_task(behind.loop())
    ask(behind, "ann")
    await let_others_run()
    backlog.seconds += PATIENCE_SECONDS - 0.1
    await let_others_run()
    assert store.pushes == []
    backlog.seconds += 0.1
    await let_others_run()
    assert len(store.pushes) == 1
    looping.cancel()


async def test_lists_do_not_wait_for_a_backlog_that_itself_waits_for_lists(
    behind: Recommender, store: FakeStore
) -> None:
    looping = asyncio.create_task(behind.loop())
    ask(behind, "ann")
    events = [await finished(behind)]
    await let_others_run()
    assert store.pushes == []
    events.append(await finished(behind))
    await let_others_run()
    assert len(store.pushes) == 1
    assert [event.acks for event in events] == [1, 1]
    looping.cancel()


async def test_lists_do_not_wait_for_a_backlog_that_waits_for_room(
    behind: Recommender, store: FakeStore, few_waiting: None
) -> None:
    looping = asyncio.create_task(behind.loop())
    ask(behind, *(f"u{number}" for number in range(USERS - 1)))
    await let_others_run()
    assert store.pushes == []
    ask(behind, "the last")
    await let_others_run()
    assert sum(map(len, store.pushes)) == USERS
    looping.cancel()


async def test_a_user_who_asks_while_the_loop_pushes_is_served_next(
    recommender: Recommender, store: FakeStore
) -> None:
    store.up.clear()
    looping = asyncio.create_task(recommender.loop())
    ask(recommender, "ann")
    await let_others_run()
    ask(recommender, "bob")
    event = await finished(recommender)
    store.up.set()
    await let_others_run()
    looping.cancel()
    assert [each.user for lists in store.pushes for each in lists] == ["ann", "bob"]
    assert event.acks == 1


async def test_users_of_a_moved_partition_are_left_to_its_new_owner(
    recommender: Recommender, store: FakeStore
) -> None:
    ask(recommender, "stays", partition=0)
    ask(recommender, "leaves", partition=1)
    event = await finished(recommender)
    recommender.keep_only({0})
    await recommender.turn()
    assert [each.user for lists in store.pushes for each in lists] == ["stays"]
    assert event.acks == 1
    ask(recommender, "leaves", partition=1)
    recommender.keep_only(set())
    await recommender.turn()
    assert len(store.pushes) == 1


async def test_lists_that_were_served_are_judged(recommender: Recommender) -> None:
    ask(recommender, "ann")
    await recommender.turn()
    judge = recommender.judge(0)
    judge.taken(took("i1"), 0, 0)
    judge.taken(took("i1", user="never served"), 1, 0)
    (record,) = judge.collected.together(0)
    assert (record.examples()["became"] == UNJUDGED).tolist() == [False, True]


async def test_pushed_and_withheld_lists_are_counted(recommender: Recommender) -> None:
    def counted(outcome: str) -> float:
        return REGISTRY.get_sample_value("afresh_lists_total", {"outcome": outcome}) or 0.0

    before = counted("pushed"), counted("withheld")
    ask(recommender, "ann", "bob", "withheld")
    await recommender.turn()
    assert (counted("pushed") - before[0], counted("withheld") - before[1]) == (2, 1)


async def test_metrics_show_the_catalogue_and_the_weights(
    recommender: Recommender, catalogue: AloneCatalogue
) -> None:
    catalogue.apply_content({b"i0": None})
    ask(recommender, "ann")
    recommender.report()
    assert REGISTRY.get_sample_value("afresh_catalogue_items") == len(ITEMS) - 1
    assert REGISTRY.get_sample_value("afresh_catalogue_embedded_items") == 0
    found: list[Any] = [
        REGISTRY.get_sample_value("afresh_fusion_weight", {"scorer": name}) for name in scorers.NAMES
    ]
    assert found == pytest.approx(recommender.weights.now.by_scorer().tolist())


def taken_off(catalogue: AloneCatalogue, item: str) -> None:
    catalogue.apply_content({item.encode(): None})


async def test_an_idle_users_list_is_refreshed_when_the_catalogue_has_changed(
    recommender: Recommender, catalogue: AloneCatalogue, store: FakeStore
) -> None:
    ask(recommender, "ann")
    await recommender.turn()
    shown = store.pushes[0][0].items[0].id
    await recommender.refresh(0.0)
    assert len(store.pushes) == 1, "nothing has changed"
    taken_off(catalogue, shown)
    await recommender.refresh(60.0)
    assert len(store.pushes) == 1, "the list is young"
    await recommender.refresh(0.0)
    (anew,) = store.pushes[1]
    assert (anew.user, anew.revision) == ("ann", 1)
    assert shown not in {each.id for each in anew.items}


async def test_a_refreshed_list_uses_the_newest_row_of_the_user(
    recommender: Recommender, catalogue: AloneCatalogue, store: FakeStore
) -> None:
    for revision in (1, 2):
        ask(recommender, "ann", revision=revision)
        await recommender.turn()
    taken_off(catalogue, "i3")
    await recommender.refresh(0.0)
    assert [lists[0].revision for lists in store.pushes] == [1, 2, 2]


async def test_lists_of_a_moved_partition_are_not_refreshed(
    recommender: Recommender, catalogue: AloneCatalogue, store: FakeStore
) -> None:
    ask(recommender, "ann", partition=0)
    ask(recommender, "bob", partition=1)
    await recommender.turn()
    table: Any = recommender._users
    del table.rows[0]
    recommender.keep_only({1})
    taken_off(catalogue, "i3")
    await recommender.refresh(0.0)
    assert [each.user for each in store.pushes[1]] == ["bob"]


async def test_waiting_users_come_before_refreshed_lists(
    recommender: Recommender, catalogue: AloneCatalogue, store: FakeStore
) -> None:
    ask(recommender, "ann")
    await recommender.turn()
    taken_off(catalogue, "i3")
    ask(recommender, "bob")
    await recommender.refresh(0.0)
    assert len(store.pushes) == 1


async def test_users_of_whom_nothing_is_known_after_a_start_get_a_list(
    recommender: Recommender, store: FakeStore
) -> None:
    table: Any = recommender._users
    table.rows[3] = {"ann": pack(user_row("i1", revision=7))}
    assert await recommender.refresh(60.0) == 1
    assert [(each.user, each.revision) for each in store.pushes[0]] == [("ann", 7)]
    assert await recommender.refresh(0.0) == 0


async def test_lists_are_refreshed_when_the_weights_have_changed(
    recommender: Recommender, store: FakeStore
) -> None:
    ask(recommender, "ann")
    await recommender.turn()
    learned = recommender.weights.now
    row = weights.pack(replace(learned, omega=learned.omega + 0.1, version=1), 0)
    for refreshed in (1, 0):
        recommender.weights.apply({weights.WEIGHTS_KEY: row})
        assert await recommender.refresh(0.0) == refreshed
    assert [each.weights for each in store.pushes[-1]] == [1]


async def test_lists_that_redis_has_lost_come_back(
    monkeypatch: pytest.MonkeyPatch, recommender: Recommender, store: FakeStore
) -> None:
    monkeypatch.setattr(popular, "POPULAR_SECONDS", 0.0)
    looping = asyncio.create_task(recommender.popular.loop())
    ask(recommender, "ann", "bob")
    await recommender.turn()
    await recommender.watch()
    await let_others_run()
    assert await recommender.refresh(0.0) == 0
    store.lost = True
    await recommender.watch()
    await let_others_run()
    looping.cancel()
    assert await recommender.refresh(60.0) == 2
    assert {each.user for each in store.pushes[-1]} == {"ann", "bob"}
    assert len(store.popular) == 2


async def test_a_silent_redis_does_not_count_as_one_that_has_lost_its_lists(
    recommender: Recommender, store: FakeStore
) -> None:
    ask(recommender, "ann")
    await recommender.turn()
    store.failures = [NoRedisError("down")]
    await recommender.watch()
    assert await recommender.refresh(0.0) == 0
