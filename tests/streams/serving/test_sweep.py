from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from afresh.state.catalogue.catalogue import Catalogue
from afresh.streams.serving import recommend
from afresh.streams.serving.lister import Lister
from afresh.streams.serving.recommend import REFRESH_REST, REFRESH_SECONDS, Recommender
from afresh.streams.serving.sweep import Stamp, Sweep


class World:
    """Users of two partitions, and a clock."""

    def __init__(self, limit: int = 100) -> None:
        self.users = {0: ["ann", "bob"], 1: ["cid"]}
        self.seconds = 100.0
        self.sweep = Sweep(self.names, limit, lambda: self.seconds)

    def names(self, partition: int) -> Iterable[str]:
        return self.users[partition]

    def outdated(self, *versions: int, count: int = 10, age: float = 0.0) -> dict[str, int]:
        return self.sweep.outdated(count, age, stamps(*versions))

    def make(self, chosen: dict[str, int], *versions: int) -> None:
        for user, partition in chosen.items():
            self.sweep.note_made(user, partition, stamps(*versions)[partition])


def stamps(*versions: int) -> dict[int, Stamp]:
    return {partition: (version, 0) for partition, version in enumerate(versions)}


@pytest.fixture
def world() -> World:
    return World()


def test_after_a_start_every_list_is_made_once(world: World) -> None:
    assert world.outdated(1, 1) == {"ann": 0, "bob": 0, "cid": 1}
    world.make({"ann": 0, "bob": 0, "cid": 1}, 1, 1)
    assert world.outdated(1, 1) == {}


def test_a_pass_goes_on_where_it_was_interrupted(world: World) -> None:
    first = world.outdated(1, 1, count=2)
    world.make(first, 1, 1)
    assert [*first, *world.outdated(1, 1, count=2)] == ["ann", "bob", "cid"]


def test_only_lists_of_the_partition_with_changed_weights_are_refreshed(world: World) -> None:
    world.make(world.outdated(1, 1), 1, 1)
    assert world.outdated(1, 2) == {"cid": 1}


def test_a_young_list_waits_until_it_is_old_enough(world: World) -> None:
    world.make(world.outdated(1, 1), 1, 1)
    assert world.outdated(2, 2, age=5.0) == {}
    world.seconds += 5.0
    assert set(world.outdated(2, 2, age=5.0)) == {"ann", "bob", "cid"}


def test_lists_of_a_moved_partition_are_swept_only_after_it_comes_back(
    world: World,
) -> None:
    world.make(world.outdated(1, 1), 1, 1)
    world.sweep.keep_only({1})
    assert world.sweep.outdated(10, 0.0, {1: (2, 0)}) == {"cid": 1}
    world.make({"cid": 1}, 2, 2)
    assert world.outdated(2, 2) == {"ann": 0, "bob": 0}


def test_starting_over_makes_every_list_outdated(world: World) -> None:
    world.make(world.outdated(1, 1), 1, 1)
    world.sweep.start_over()
    assert set(world.outdated(1, 1)) == {"ann", "bob", "cid"}


@given(
    limit=st.integers(1, 12),
    users=st.lists(st.integers(0, 9), unique=True),
    batch=st.integers(1, 4),
    changes=st.lists(st.integers(0, 3), max_size=5),
)
@limits(deadline=None)
def test_once_nothing_changes_all_lists_become_current_and_the_sweep_rests(
    limit: int, users: list[int], batch: int, changes: list[int]
) -> None:
    world = World(limit)
    world.users = {0: [f"u{n}" for n in users if n % 2], 1: [f"u{n}" for n in users if not n % 2]}
    made: dict[str, Stamp] = {}
    version = 1

    def turn() -> int:
        chosen = world.outdated(version, version, count=batch)
        world.make(chosen, version, version)
        made.update(dict.fromkeys(chosen, (version, 0)))
        return len(chosen)

    for turns in changes:
        for _ in range(turns):
            turn()
        version += 1
    turns = 0
    while turn():
        turns += 1
        assert turns <= 2 * len(users) + 2
    assert made == {f"u{n}": (version, 0) for n in users}


class RestedError(Exception):
    """The sweep rests."""


@pytest.mark.parametrize(
    ("made", "took_seconds", "rests"),
    [(8, 0.1, 0.1 * REFRESH_REST), (8, 60.0, REFRESH_SECONDS), (0, 0.1, REFRESH_SECONDS)],
)
async def test_the_sweep_does_not_rest_longer_after_redis_was_down(
    monkeypatch: pytest.MonkeyPatch, made: int, took_seconds: float, rests: float
) -> None:
    """After a minute without Redis, the sweep once rested for two minutes, while no list was in Redis."""
    users: Any = SimpleNamespace(names=lambda partition: ())
    recommender = Recommender(Catalogue(), None, Lister(Catalogue(), 5), users)  # type: ignore[arg-type]
    clock = iter([0.0, took_seconds])

    async def refresh(age_seconds: float) -> int:
        return made

    async def sleep(seconds: float) -> None:
        raise RestedError(seconds)

    monkeypatch.setattr(recommender, "refresh", refresh)
    monkeypatch.setattr(recommend, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(recommend, "asyncio", SimpleNamespace(sleep=sleep))
    with pytest.raises(RestedError) as rested:
        await recommender.refresh_loop(5.0)
    assert rested.value.args == (pytest.approx(rests),)
