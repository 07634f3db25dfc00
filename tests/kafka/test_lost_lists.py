"""Lists that Redis loses one by one, under a running worker: by hand, in a failover, by eviction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from afresh.deploy.demo.scrape import Page
from afresh.deploy.ledger import audit
from afresh.deploy.servers import Server, local_redis
from afresh.deploy.servers.process import ServerProcess
from afresh.state.lists import popular_key, recommendations_key
from tests.conftest import settings_for
from tests.kafka.deployment import Deployment, deployment, wait
from tests.kafka.redis_roles import command

pytestmark = pytest.mark.servers

USERS = 300
"""More than a round of the inspection looks at."""

WAIT_SECONDS = 180.0
"""Longest wait for what takes some seconds on a machine at rest."""


@contextmanager
def worker_on(kafka: Server, redis: Server, folder: Path) -> Iterator[tuple[Deployment, ServerProcess, Page]]:
    """Run a worker on a Redis."""
    settings = settings_for(kafka, redis, folder).model_copy(update={"list_refresh_seconds": 0.5})
    with deployment(settings, folder) as made:
        process = made.process()
        with made.running(process) as page:
            yield made, process, page


def feed(made: Deployment, count: int) -> None:
    for number in range(12):
        made.item(f"i{number}")
    made.load(count, USERS, items=12)


def differences(made: Deployment) -> Sequence[str]:
    """Wait until all is at rest, and let the ledger compare everything."""
    return audit(made.settings, wait_seconds=WAIT_SECONDS).differences


def found(page: Page, what: str) -> int:
    return page.read().total("afresh_inspected_lists_total", found=what)


def test_lists_that_redis_lost_come_back_as_they_were_and_those_of_nobody_stay_away(
    kafka: Server, own_redis: Server, tmp_path: Path
) -> None:
    with worker_on(kafka, own_redis, tmp_path) as (made, _, page):
        namespace = made.settings.namespace
        feed(made, 2 * USERS)
        wait(lambda: made.lists.count_users() == USERS and made.popular(), "the lists", WAIT_SECONDS)
        users, domains = made.lists.of_users(), made.lists.of_domains()
        # Each list is made anew, of the same events.
        made.item("i12")
        assert differences(made) == []
        assert found(page, "missing") == found(page, "stale") == 0
        gone, back = sorted(users)[::7], sorted(users)[3::7]
        for user in gone:
            made.redis.delete(recommendations_key(namespace, user))
        made.redis.delete(popular_key(namespace, "films"))
        for user in back:
            made.redis.set(recommendations_key(namespace, user), users[user])
        wait(lambda: found(page, "missing") == len(gone) + 1, "missing lists to be found", WAIT_SECONDS)
        wait(lambda: found(page, "stale") == len(back), "stale lists to be found", WAIT_SECONDS)
        wait(made.popular, "the popular list", WAIT_SECONDS)
        made.redis.set(popular_key(namespace, "films"), domains["films"])
        wait(lambda: found(page, "stale") == len(back) + 1, "the popular list to be found", WAIT_SECONDS)
        assert differences(made) == []
        assert made.lists.of_users().keys() == users.keys()


def test_a_redis_that_evicts_is_warned_of_and_once_it_has_room_it_gets_back_what_it_evicted(
    kafka: Server, tmp_path: Path
) -> None:
    limits = ["--maxmemory", "16mb", "--maxmemory-policy", "volatile-lru"]
    with (
        local_redis(tmp_path / "redis", arguments=limits) as redis,
        worker_on(kafka, redis, tmp_path) as (made, process, page),
    ):
        warning = "Redis evicts lists when it is full (maxmemory-policy volatile-lru); use noeviction"
        assert warning in process.log.read_text()
        feed(made, 2 * USERS)
        wait(lambda: made.lists.count_users() == USERS and made.popular(), "the lists", WAIT_SECONDS)
        used = command(redis, "INFO", "memory")["used_memory"]
        command(redis, "CONFIG", "SET", "maxmemory", used - 150_000)
        wait(lambda: found(page, "missing"), "lists to be evicted, and missed", WAIT_SECONDS)
        assert made.lists.count_users() < USERS
        command(redis, "CONFIG", "SET", "maxmemory", "0")
        wait(lambda: made.lists.count_users() == USERS, "the lists again", WAIT_SECONDS)
        assert differences(made) == []
        assert "Redis has lost lists" in process.log.read_text()
