import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.lists import timestamp
from afresh.streams.serving import recommend
from afresh.streams.serving.lister import Lister
from afresh.streams.serving.recommend import REFRESH_REST, REFRESH_SECONDS, Recommender
from afresh.streams.serving.sweep import EARLIEST, Stamp, Sweep


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
            self.sweep.note_made(user, partition, stamps(*versions)[partition], timestamp(self.seconds))


def stamps(*versions: int) -> dict[int, Stamp]:
    return {partition: (version, 0) for partition, version in enumerate(versions)}


@pytest.fixture
def world() -> World:
    return World()


def test_after_a_start_every_list_is_made_once(world: World) -> None:
    assert world.outdated(1, 1) == {"ann": 0, "bob": 0, "cid": 1}
    world.make({"ann": 0, "bob": 0, "cid": 1}, 1, 1)
    assert world.outdated(1, 1) == {}


def test_a_list_that_nobody_makes_any_more_is_not_chosen_again_and_again(world: World) -> None:
    world.make({"ann": 0, "bob": 0, "cid": 1}, 1, 1)
    world.outdated(1, 1)
    assert "ann" in world.outdated(2, 2, count=1)
    world.sweep.forget("ann")
    assert "bob" in world.outdated(2, 2, count=1)


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


def test_a_pass_waits_while_no_partition_is_ours(world: World) -> None:
    """During a rebalance, a pass once ran out, and the lists of all users to come stayed as they were."""
    world.make(world.outdated(1, 1, count=1), 1, 1)
    assert world.outdated() == {}
    assert world.outdated(1, 1) == {"bob": 0, "cid": 1}


def test_lost_lists_come_first_whatever_their_age_and_each_is_chosen_once(world: World) -> None:
    world.make(world.outdated(1, 1), 1, 1)
    world.sweep.note_lost({"bob": 0, "cid": 1})
    assert world.sweep.lost == 2
    assert world.outdated() == {}
    assert world.outdated(2, 2, count=1, age=5.0) == {"bob": 0}
    assert world.outdated(2, 2, age=5.0) == {"cid": 1}
    assert world.sweep.lost == 0


def test_lost_lists_of_a_moved_partition_are_left_to_its_new_owner(world: World) -> None:
    world.make(world.outdated(1, 1), 1, 1)
    world.sweep.note_lost({"bob": 0, "cid": 1})
    world.sweep.keep_only({1})
    assert world.sweep.outdated(10, 5.0, {1: (1, 0)}) == {"cid": 1}


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


@given(
    limit=st.integers(1, 6),
    users=st.lists(st.integers(0, 9), unique=True),
    batch=st.integers(1, 4),
    steps=st.lists(
        st.tuples(st.sampled_from(["turn", "change", "request", "moved"]), st.integers(0, 9)), max_size=40
    ),
)
def test_no_list_is_thought_newer_than_it_is(
    limit: int, users: list[int], batch: int, steps: list[tuple[str, int]]
) -> None:
    """Otherwise the inspection would have right lists made again and again."""
    world = World(limit)
    world.users = {0: [f"u{n}" for n in users if n % 2], 1: [f"u{n}" for n in users if not n % 2]}
    made: dict[str, str] = {}
    version = 1
    for step, number in steps:
        world.seconds += 1.0
        chosen = {f"u{number}": 1 - number % 2} if step == "request" and number in users else {}
        if step == "turn":
            chosen = world.outdated(version, version, count=batch)
        elif step == "change":
            version += 1
        elif step == "moved":
            world.sweep.keep_only({number % 2})
        world.make(chosen, version, version)
        made |= dict.fromkeys(chosen, timestamp(world.seconds))
        for partition, names in world.users.items():
            for user in names:
                assert world.sweep.made_at(user, partition) <= made.get(user, EARLIEST)


def test_beyond_the_limit_lists_are_known_to_be_no_older_than_the_last_pass() -> None:
    world = World(1)
    for version in (1, 2):
        begun = timestamp(world.seconds)
        while chosen := world.outdated(version, count=1):
            world.make(chosen, version)
            world.seconds += 1.0
        assert all(world.sweep.made_at(user, 0) >= begun for user in ("ann", "bob"))


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
    monkeypatch.setattr(
        recommend, "time", SimpleNamespace(perf_counter=lambda: next(clock), time_ns=time.time_ns)
    )
    monkeypatch.setattr(recommend, "asyncio", SimpleNamespace(sleep=sleep))
    with pytest.raises(RestedError) as rested:
        await recommender.refresh_loop(5.0)
    assert rested.value.args == (pytest.approx(rests),)
