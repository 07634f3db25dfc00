"""The popular lists, shown to users of whom nothing is known, and what is learned from them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from afresh.models.fusion.weights import Weights
from afresh.state.catalogue.alone import AloneCatalogue
from afresh.state.judged.examples import TAUGHT, UNJUDGED
from afresh.state.rows import weights
from afresh.state.rows.users import pack
from afresh.streams.serving import popular
from afresh.streams.serving.judge import Judge
from afresh.streams.serving.lister import Lister
from afresh.streams.serving.recommend import Recommender
from afresh.streams.topics import FIRST_PARTITION
from tests.streams.making import FakeStore, FakeUsers, catalogue_of, describe, let_others_run, took, user_row

ITEMS = [f"i{number}" for number in range(20)]


@pytest.fixture(autouse=True)
def without_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popular, "POPULAR_SECONDS", 0.0)


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popular, "DOMAINS_AT_ONCE", 2)


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def catalogue() -> AloneCatalogue:
    catalogue = catalogue_of(*ITEMS)
    describe(catalogue, "b1", domain="books")
    return catalogue


@pytest.fixture
def recommender(catalogue: AloneCatalogue, store: FakeStore) -> Recommender:
    return Recommender(catalogue, store, Lister(catalogue, 5), FakeUsers())  # type: ignore[arg-type]


def own(recommender: Recommender, partition: int) -> None:
    """Give the recommender a user of a partition, so that it owns the partition."""
    table: Any = recommender._users
    table.rows.setdefault(partition, {})["ann"] = pack(user_row("i1"))
    recommender.request(partition, {"ann": 5})


def became(judge: Judge) -> list[int]:
    """Return what became of the examples of a judge."""
    (record,) = judge.collected.together(0)
    return [int(each) for each in record.examples()["became"]]


async def loop(recommender: Recommender, *happening: Callable[[], object]) -> None:
    """Run one turn of the loop after each step."""
    looping = asyncio.create_task(recommender.popular.loop())
    for happens in happening:
        await let_others_run()
        happens()
        await let_others_run()
    looping.cancel()


async def test_the_owner_of_the_first_partition_pushes_popular_lists_after_changes(
    recommender: Recommender, store: FakeStore, catalogue: AloneCatalogue
) -> None:
    pushed: list[int] = []

    def note() -> None:
        pushed.append(len(store.popular))

    await loop(recommender, note, lambda: own(recommender, FIRST_PARTITION), note)
    first, second, *_ = (item.id for item in store.popular[0][0].items)
    turned = weights.pack(Weights(-recommender.weights.now.omega, 1), 0)
    await loop(
        recommender,
        lambda: catalogue.apply_content({first.encode(): None}),
        note,
        lambda: recommender.weights.apply({weights.WEIGHTS_KEY: turned}),
        note,
    )
    assert pushed == [0, 1, 2, 3]
    assert [lists[0].items[0].id for lists in store.popular[:2]] == [first, second]


async def test_an_unknown_user_is_judged_by_the_popular_list_of_the_domain(
    recommender: Recommender,
) -> None:
    await loop(recommender, lambda: own(recommender, FIRST_PARTITION))
    judge = recommender.judge(FIRST_PARTITION)
    judge.taken(took("i3", user="new"), 0, 0, unknown=True)
    judge.taken(took("i3", user="seen before, list forgotten"), 1, 0)
    judge.taken(took("i3", user="in a domain of none", domain="music"), 2, 0, unknown=True)
    assert became(judge) == [TAUGHT, UNJUDGED, UNJUDGED]


async def test_a_worker_without_the_first_partition_makes_popular_lists_but_pushes_none(
    recommender: Recommender, store: FakeStore
) -> None:
    await loop(recommender, lambda: own(recommender, 3))
    judge = recommender.judge(FIRST_PARTITION)
    judge.taken(took("i3", user="new"), 0, 0, unknown=True)
    assert became(judge) == [TAUGHT]
    assert store.popular == []


async def test_of_many_domains_some_lists_are_made_at_a_time_where_items_moved_first(
    recommender: Recommender, store: FakeStore, catalogue: AloneCatalogue, two_at_once: None
) -> None:
    for number in range(7):
        describe(catalogue, f"d{number}", domain=f"domain {number}")
    own(recommender, FIRST_PARTITION)
    await turns(recommender, 20)
    made = [[each.domain for each in lists] for lists in store.popular]
    assert [len(names) for names in made] == [2, 2, 2, 2, 1]
    assert len({name for names in made for name in names}) == 9

    describe(catalogue, "another", domain="domain 5")
    await turns(recommender, 20)
    again = [each.domain for lists in store.popular[5:] for each in lists]
    assert again[0] == "domain 5"
    assert sorted(again) == sorted(catalogue.domains.names)
    assert set(recommender.popular.due) == set(again)


async def test_however_many_domains_move_all_others_get_their_turn(
    recommender: Recommender, store: FakeStore, catalogue: AloneCatalogue, two_at_once: None
) -> None:
    own(recommender, FIRST_PARTITION)
    looping = asyncio.create_task(recommender.popular.loop())
    for turn in range(30):
        for number in range(6):
            describe(catalogue, f"d{turn}-{number}", domain=f"domain {number}")
        await let_others_run()
    looping.cancel()
    made = [each.domain for lists in store.popular for each in lists]
    assert made.count("books") > 1
    assert made.count("films") > 1


async def turns(recommender: Recommender, count: int) -> None:
    """Let the loop turn some times."""
    looping = asyncio.create_task(recommender.popular.loop())
    for _ in range(count):
        await let_others_run()
    looping.cancel()
