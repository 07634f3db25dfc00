"""Standbys over genuine Kafka: a worker with copies takes over from a killed one, and every event counts once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from afresh.deploy.demo.scrape import Page
from afresh.deploy.demo.workers import environment
from afresh.deploy.ledger import audit
from afresh.deploy.servers.process import ServerProcess
from afresh.streams.settings import Settings
from tests.kafka.deployment import TABLES, Deployment, accepted, deployment, recovered, wait, written

USERS, ITEMS = 300, 97
SETTLE_SECONDS = 120.0


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    chosen = {"standby_replicas": 1, "session_timeout_seconds": 6.0, "list_refresh_seconds": 0.5}
    with deployment(settings.model_copy(update=chosen), tmp_path) as each:
        yield each


def users_held(page: Page) -> int:
    """Count the users' rows that a worker holds, its own and copies."""
    return page.read().total("afresh_rows", table="users")


def take_over(made: Deployment, process: ServerProcess, heir: Page) -> None:
    """Kill a worker under load, and wait until the other worker, ``heir``, is ready alone."""
    before = accepted(heir)
    made.load(1500)
    wait(lambda: accepted(heir) > before, "the workers to be at work")
    rebalances = heir.read().total("afresh_rebalances_total")
    process.kill()
    made.load(1500)
    wait(lambda: heir.read().total("afresh_rebalances_total") > rebalances, "the partitions to move")
    wait(heir.ready, "the heir to be ready")


def test_a_worker_with_copies_takes_over_and_every_event_is_counted_once(made: Deployment) -> None:
    first, second = made.process(), made.process()
    with made.running(first), made.running(second) as other:
        page = made.ready(first)
        for number in range(ITEMS):
            made.item(f"i{number}")
        made.load(3000)
        wait(
            lambda: users_held(page) == users_held(other) == USERS, "both to hold the rows of all users", 60.0
        )
        take_over(made, first, other)
        with environment(made.variables(first)):
            first.start()
        page = made.ready(first)
        wait(lambda: users_held(page) == users_held(other) == USERS, "both to hold them again")
        take_over(made, second, page)
        report = audit(made.settings, wait_seconds=SETTLE_SECONDS)
    assert report.differences == []
    assert report.events.once == report.events.accepted == report.events.total == 9000


def test_a_worker_that_takes_over_reads_only_what_its_copies_lack(made: Deployment) -> None:
    first, second = made.process(), made.process()
    with made.running(first), made.running(second) as other:
        made.load(3000)
        wait(lambda: users_held(other) == USERS, "the second to hold the rows of all users")
        assert audit(made.settings, wait_seconds=SETTLE_SECONDS).differences == []
        # The second worker must hold every row: of its own partitions, and as copies of the first worker's.
        every = written(made)
        wait(lambda: recovered(other) > every / 4, "the copies to be whole")
        before = recovered(other)
        first.kill()
        wait(lambda: recovered(other) > before, "the partitions to move")
        wait(other.ready, "the second to be ready")
        # Only the new claims are read: one record in each changelog partition.
        assert recovered(other) - before == len(TABLES) * made.settings.partitions
