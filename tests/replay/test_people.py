"""Links and their ends lose and double nothing, wherever a worker is killed and in whatever order it reads."""

from __future__ import annotations

import gc
import random
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from afresh.state.rows import details, users
from afresh.state.rows.users import UserRow
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.messages import interaction_decoder
from afresh.streams.settings import Settings
from afresh.streams.stages.stage import Part
from tests.deploy.ledger.making import judged
from tests.replay.memory import CLOCK, CrashError, Log, Pipeline

ACCOUNTS = ("web:ann", "app:7", "tv:living room", "web:bob")

Act = Callable[[Pipeline], None]


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, partitions=3, data_dir=tmp_path, list_size=5, encoder="none")


def key_of_pair(one: str, other: str) -> str:
    return msgspec.json.encode(sorted([one, other])).decode()


def link(one: str, other: str, time: int = 0) -> Act:
    def act(pipeline: Pipeline) -> None:
        value = {"accounts": [one, other], "time": int(CLOCK * 1000) - 1_000_000 + time}
        pipeline.feed(pipeline.topics.identities.name, key_of_pair(one, other), value)

    return act


def unlink(one: str, other: str) -> Act:
    def act(pipeline: Pipeline) -> None:
        pipeline.feed(pipeline.topics.identities.name, key_of_pair(one, other), None)

    return act


def use(number: int, *accounts: str) -> Act:
    """Let accounts take some items, each an item of its own."""

    def act(pipeline: Pipeline) -> None:
        for place, account in enumerate(accounts or ACCOUNTS):
            platform, _, user = account.partition(":")
            name = f"{account} {number}"
            when = int(CLOCK * 1000) - 9_000_000 + 1000 * (10 * number + place)
            pipeline.event(id=name, user=user, platform=platform, item=name, time=when)

    return act


ACTS: tuple[tuple[Act, ...], ...] = (
    (use(1), use(2), link("web:ann", "app:7", 1), use(3)),
    (use(4), link("tv:living room", "app:7", 2), use(5), link("tv:living room", "web:bob", 3), use(6)),
    (unlink("tv:living room", "app:7"), use(7), unlink("web:ann", "app:7"), use(8)),
    (link("web:bob", "web:ann", 4), link("app:7", "web:ann", 5), use(9)),
)
"""What happens, in portions that are taken in one after the other."""


async def lived(settings: Settings, crash_at: int = 0, acts: int = len(ACTS)) -> tuple[Pipeline, int]:
    """Let everything happen, with a crash at one step; return the number of steps, too."""
    log, committed, steps = Log(), dict[tuple[str, int], int](), 0

    def crash(_: str) -> bool:
        nonlocal steps
        steps += 1
        return steps == crash_at

    pipeline = Pipeline(settings, log, committed, crash)
    for act in ACTS[:acts]:
        for each in act:
            each(pipeline)
        while True:
            try:
                await pipeline.drain(lambda: 4)
            except CrashError:
                pipeline = Pipeline(settings, log, committed, crash)
                continue
            break
    return pipeline, steps


def user_rows(pipeline: Pipeline) -> Iterator[tuple[str, UserRow]]:
    for rows in pipeline.rows()["users"].values():
        for key, row in rows.items():
            if key != PARTITION_ROW_KEY:
                yield key.decode(), users.unpack(row)


def taken(pipeline: Pipeline) -> dict[str, Counter[str]]:
    """Return what the row of each canonical user holds: the accounts of its items, each once for each item."""
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for user, row in user_rows(pipeline):
        names = (user, *row.accounts)
        indices = details.unpack(row.details)["account"].tolist()
        if row.to:
            assert not indices, "a row that has moved holds nothing"
        held[user] += Counter(names[each] for each in indices)
        assert len(set(users.history_of(row).tolist())) == len(indices), "no item twice"
    return {user: count for user, count in held.items() if count}


async def check(pipeline: Pipeline) -> None:
    """Let the ledger recompute everything from the logs alone."""
    report = judged(pipeline)
    assert report.differences == []


async def test_events_before_and_after_links_and_their_ends_are_in_the_row_of_their_person(
    plain: Settings,
) -> None:
    merged, _ = await lived(plain, acts=2)
    assert taken(merged) == {"app:7": Counter(dict.fromkeys(ACCOUNTS, 6))}
    apart, _ = await lived(plain, acts=3)
    assert taken(apart) == {
        "app:7": Counter({"app:7": 8}),
        "web:ann": Counter({"web:ann": 8}),
        "tv:living room": Counter({"tv:living room": 8, "web:bob": 8}),
    }
    again, _ = await lived(plain)
    assert taken(again) == {"tv:living room": Counter(dict.fromkeys(ACCOUNTS, 9))}
    await check(again)


async def test_no_part_stays_in_memory_behind_its_run(
    plain: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python looks for cycles seldom in a large process: parts in a cycle took a worker 30 MiB."""
    made: list[tuple[str, weakref.ref[Any]]] = []
    begin = Part.__init__

    def noted(part: Any, *arguments: Any) -> None:
        begin(part, *arguments)
        made.append((type(part).__name__, weakref.ref(part)))

    monkeypatch.setattr(Part, "__init__", noted)
    gc.disable()
    try:
        pipeline, _ = await lived(plain)
        pipeline.item("i1")
        await pipeline.drain()
        left = Counter(kind for kind, part in made if part() is not None)
    finally:
        gc.enable()
    assert {kind for kind, _ in made} >= {
        "IngestPart",
        "ProfilePart",
        "LearnPart",
        "LinkingPart",
        "WeighPart",
    }
    assert left == Counter()


async def test_all_accounts_of_a_person_have_the_same_list(plain: Settings) -> None:
    pipeline, _ = await lived(plain)
    lists = pipeline.store.lists
    assert {lists[account].user for account in ACCOUNTS} == {"tv:living room"}
    assert len({msgspec.json.encode(lists[account]) for account in ACCOUNTS}) == 1
    apart, _ = await lived(plain, acts=3)
    assert {account: apart.store.lists[account].user for account in ACCOUNTS} == {
        "app:7": "app:7",
        "web:ann": "web:ann",
        "tv:living room": "tv:living room",
        "web:bob": "tv:living room",
    }


async def test_lists_after_a_move_are_newer_than_all_before(plain: Settings) -> None:
    since: dict[str, int] = {}
    for acts in range(1, len(ACTS) + 1):
        pipeline, _ = await lived(plain, acts=acts)
        for account in ACCOUNTS:
            assert pipeline.store.lists[account].since >= since.get(account, 0)
            since[account] = pipeline.store.lists[account].since


@pytest.mark.slow
async def test_a_crash_at_any_step_of_links_and_their_ends_loses_and_doubles_nothing(plain: Settings) -> None:
    straight, steps = await lived(plain)
    assert steps > 100
    for step in range(1, steps + 1):
        crashed, _ = await lived(plain, crash_at=step)
        assert taken(crashed) == taken(straight), step
        await check(crashed)


@pytest.mark.parametrize("seed", range(20))
async def test_records_taken_in_in_any_order_give_the_same_persons(plain: Settings, seed: int) -> None:
    """The link may be obeyed before events or after them, and rows and events may overtake each other."""
    draw = random.Random(seed)
    pipeline = Pipeline(plain)
    await pipeline.settle()
    for act in [each for acts in ACTS for each in acts]:
        act(pipeline)
        for _ in range(draw.randrange(12)):
            if waiting := list(pipeline.waiting()):
                await pipeline.step(*draw.choice(waiting), draw.randint(1, 3))
    while waiting := list(pipeline.waiting()):
        await pipeline.step(*draw.choice(waiting), draw.randint(1, 3))
    pipeline.follow()
    assert taken(pipeline) == {"tv:living room": Counter(dict.fromkeys(ACCOUNTS, 9))}
    await check(pipeline)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
async def test_links_at_random_among_many_accounts_leave_each_in_the_row_of_its_person(
    plain: Settings, seed: int
) -> None:
    """Rows are on their way for long, and overtaken by later moves."""
    draw = random.Random(seed)
    accounts = [f"web:{letter}" for letter in "abcdefg"]
    pipeline = Pipeline(plain)
    await pipeline.settle()
    links: set[tuple[str, str]] = set()
    for number in range(60):
        one, other = sorted(draw.sample(accounts, 2))
        match draw.randrange(3):
            case 0:
                links.add((one, other))
                link(one, other, number)(pipeline)
            case 1 if links:
                ended = draw.choice(sorted(links))
                links.discard(ended)
                unlink(*ended)(pipeline)
            case _:
                use(number, one)(pipeline)
        busy = draw.sample(range(3), 2)
        for _ in range(draw.randrange(9)):
            if waiting := [each for each in pipeline.waiting() if each[1] in busy]:
                await pipeline.step(*draw.choice(waiting), draw.randint(1, 3))
    while waiting := list(pipeline.waiting()):
        await pipeline.step(*draw.choice(waiting), draw.randint(1, 3))
    pipeline.follow()
    used = Counter(
        event.user
        for records in pipeline.log.values(pipeline.topics.interactions.name).values()
        for key, value in records
        if key and (event := interaction_decoder.decode(value or b"")).way is None
    )
    assert sum(taken(pipeline).values(), Counter()) == used
    await check(pipeline)
