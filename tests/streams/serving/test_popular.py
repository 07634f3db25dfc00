"""The popular lists, shown to users of whom nothing is known, and what is learned from them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from afresh.models.fusion import fusion
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.judged.kept import Kept, unpack
from afresh.state.rows.users import pack
from afresh.streams.serving import popular
from afresh.streams.serving.lister import Lister
from afresh.streams.serving.popular import FIRST_PARTITION
from afresh.streams.serving.recommend import Recommender
from tests.streams.making import FakeStore, FakeUsers, catalogue_of, describe, let_others_run, took, user_row

ITEMS = [f"i{number}" for number in range(20)]


@pytest.fixture(autouse=True)
def without_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popular, "POPULAR_SECONDS", 0.0)


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def catalogue() -> Catalogue:
    catalogue = catalogue_of(*ITEMS)
    describe(catalogue, "b1", domain="books")
    return catalogue


@pytest.fixture
def recommender(catalogue: Catalogue, store: FakeStore) -> Recommender:
    return Recommender(catalogue, store, Lister(catalogue, 5), FakeUsers())  # type: ignore[arg-type]


def own(recommender: Recommender, partition: int, kept: Kept | None = None) -> None:
    """Give the recommender a user of a partition, so that it owns the partition."""
    table: Any = recommender._users
    table.rows.setdefault(partition, {})["ann"] = pack(user_row("i1"))
    recommender.request(partition, kept or unpack(b""), {"ann": 5})


async def loop(recommender: Recommender, *happening: Callable[[], object]) -> None:
    """Run one turn of the loop after each step."""
    looping = asyncio.create_task(recommender.popular.loop())
    for happens in happening:
        await let_others_run()
        happens()
        await let_others_run()
    looping.cancel()


async def test_the_owner_of_the_first_partition_pushes_popular_lists_after_changes(
    recommender: Recommender, store: FakeStore, catalogue: Catalogue
) -> None:
    pushed: list[int] = []

    def note() -> None:
        pushed.append(len(store.popular))

    await loop(recommender, note, lambda: own(recommender, FIRST_PARTITION), note)
    first, second, *_ = (item.id for item in store.popular[0][0].items)
    moved = recommender.judges.begin(FIRST_PARTITION)
    moved.fusion.omega *= -1
    await loop(
        recommender,
        lambda: catalogue.apply_content({first.encode(): None}),
        note,
        lambda: own(recommender, FIRST_PARTITION, moved.kept),
        note,
    )
    assert pushed == [0, 1, 2, 3]
    assert [lists[0].items[0].id for lists in store.popular[:2]] == [first, second]


async def test_an_unknown_user_is_judged_by_the_popular_list_of_the_domain(
    recommender: Recommender,
) -> None:
    await loop(recommender, lambda: own(recommender, FIRST_PARTITION))
    judge = recommender.judges.begin(FIRST_PARTITION)
    before = judge.fusion.omega.copy()
    for number in range(fusion.BATCH):
        judge.taken(took("i3", user=f"new {number}"), 0, unknown=True)
    assert judge.verdicts.judged[0] == fusion.BATCH
    assert not np.array_equal(judge.fusion.omega, before)
    judge.taken(took("i3", user="seen before, list forgotten"), 0)
    judge.taken(took("i3", user="in a domain of none", domain="music"), 0, unknown=True)
    assert judge.verdicts.unjudged == 2


async def test_a_worker_without_the_first_partition_makes_popular_lists_but_pushes_none(
    recommender: Recommender, store: FakeStore
) -> None:
    await loop(recommender, lambda: own(recommender, 3))
    judge = recommender.judges.begin(FIRST_PARTITION)
    judge.taken(took("i3", user="new"), 0, unknown=True)
    assert judge.verdicts.judged[0] == 1
    assert store.popular == []
