"""Accounts are linked and unlinked under load, while workers are killed: both keys follow, and events count once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from afresh.deploy.demo.workers import environment
from afresh.deploy.ledger import audit
from afresh.deploy.people import link, read_people, unlink
from afresh.state.lists import UserList, decode_user_list
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment, wait

PAIRS = [(f"web:u{number}", f"tv:t{number}") for number in range(20)]


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings, tmp_path) as made:
        for number in range(30):
            made.item(f"i{number}")
        yield made


def use(made: Deployment, account: str, item: str) -> str:
    """Let an account take an item; return the event's id."""
    platform, _, user = account.partition(":")
    event = made.next_event(user, item) | {"platform": platform}
    made.send(made.topics.events, account, event)
    return str(event["id"])


def list_of(made: Deployment, account: str) -> UserList | None:
    found = made.lists.of_user(account)
    return None if found is None else decode_user_list(found, account)


def same(made: Deployment, accounts: tuple[str, str], last: str) -> bool:
    """Whether both accounts have one list, which takes in an event."""
    lists = [list_of(made, account) for account in accounts]
    return lists[0] is not None and lists[0] == lists[1] and lists[0].last_event == last


def test_both_accounts_show_one_list_and_after_the_end_of_the_link_two(made: Deployment) -> None:
    one, other = "web:ann", "tv:living room"
    with made.running(made.process()):
        for number in range(4):
            first, second = use(made, one, f"i{number}"), use(made, other, f"i{10 + number}")
        wait(lambda: (list_of(made, one) or 0) and (list_of(made, other) or 0), "both to have lists")
        link(made.settings, one, other, "login", 1.0)
        wait(lambda: list_of(made, one) == list_of(made, other), "both to have one list")
        listed = list_of(made, one)
        assert listed is not None
        assert listed.revision == 8
        assert not {item.id for item in listed.items} & {f"i{n}" for n in (*range(4), *range(10, 14))}
        assert read_people(made.settings).person(one).accounts == tuple(sorted((one, other)))
        last = use(made, other, "i20")
        wait(lambda: same(made, (one, other), last), "both lists to take in what the one does")
        unlink(made.settings, other, one)
        wait(lambda: list_of(made, one) != list_of(made, other), "the lists to differ")
        first, second = use(made, one, "i21"), use(made, other, "i22")
        assert first != second

        def apart() -> bool:
            found = [list_of(made, account) for account in (one, other)]
            return [each and (each.user, each.last_event) for each in found] == [
                (one, first),
                (other, second),
            ]

        wait(apart, "each to have a list of its own")
        assert audit(made.settings, wait_seconds=60.0).differences == []


def test_links_under_load_lose_and_double_nothing_though_workers_are_killed(made: Deployment) -> None:
    first, second = made.process(), made.process()
    with made.running(first), made.running(second), ThreadPoolExecutor(1) as loader:
        stop = threading.Event()

        def load() -> None:
            number = 0
            while not stop.is_set():
                for pair in PAIRS:
                    use(made, pair[number % 2], f"i{number % 30}")
                number += 1
                stop.wait(0.05)

        loading = loader.submit(load)
        try:
            for turn in range(3):
                for one, other in PAIRS:
                    link(made.settings, one, other, "login", 1.0)
                victim = (first, second)[turn % 2]
                victim.kill()
                for one, other in PAIRS[turn::3]:
                    unlink(made.settings, one, other)
                with environment(made.variables(victim)):
                    victim.start()
                made.ready(victim)
        finally:
            stop.set()
        # What the load raised would be lost in its thread, and the rest of the test would run without load.
        loading.result()
        for pair in PAIRS[:2]:
            link(made.settings, *pair, "login", 1.0)
            last = use(made, pair[1], "i7")
            wait(lambda pair=pair, last=last: same(made, pair, last), "both to have one list")  # type: ignore[misc]
        report = audit(made.settings, wait_seconds=90.0)
        assert report.differences == []
        assert report.events.accepted == report.events.once == report.events.total
