"""A worker that gets SIGTERM finishes and commits what it holds, and its partitions move at once; its log says so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient

from afresh.deploy.demo.scrape import Page
from afresh.deploy.servers import Server
from afresh.deploy.servers.process import ServerProcess
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.course import UNCOMMITTED
from afresh.streams.settings import Settings
from tests.conftest import settings_for
from tests.kafka.deployment import Deployment, accepted, deployment, told_to_stop, wait

LONG_SESSION_SECONDS = 40.0
"""Session timeout, longer than any wait here: so a partition that moves did not wait for the session to end."""


UNFINISHED = "Runs under way did not finish within 5 s"


def revisions(made: Deployment) -> list[int]:
    """Read how many events each user's list takes in."""
    lists = [made.list_of(f"u{number}") for number in range(300)]
    return [each.revision for each in lists if each is not None]


def members(settings: Settings) -> list[str]:
    """List the ids of the members of the workers' group."""
    admin = KafkaAdminClient(**kafka_options(settings))
    try:
        (group,) = admin.describe_groups([settings.namespace]).values()
    finally:
        admin.close()
    return [str(member["member_id"]) for member in group["members"]]


def lines(process: ServerProcess) -> list[dict[str, Any]]:
    """Read the log of a process, every line of which is JSON."""
    return [json.loads(line) for line in process.log.read_text().splitlines()]


def course(process: ServerProcess) -> list[str]:
    """Return what a process has said of its course, without numbers."""
    found = [re.sub(r"[\d.]+", "#", line["message"]) for line in lines(process) if "afresh" in line["logger"]]
    return [each.split(" in namespace")[0] for each in found if not each.startswith("Not ready")]


def repeated(page: Page) -> int:
    """Count the records that a worker got although they were counted before."""
    return page.read().total("afresh_already_counted_total")


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    chosen = {"session_timeout_seconds": LONG_SESSION_SECONDS, "log_format": "json"}
    patient = settings.model_copy(update=chosen)
    with deployment(patient, tmp_path) as made:
        yield made


def test_after_an_orderly_stop_under_load_nothing_is_repeated_and_nothing_lost(made: Deployment) -> None:
    process = made.process()
    with made.running(process) as page:
        made.load(6000)
        wait(lambda: accepted(page) > 0, "the worker to be at work")
        assert told_to_stop(process) == 0
        assert members(made.settings) == []
        in_time = UNFINISHED not in process.log.read_text()
        process.start()
        page = made.ready(process)
        made.answer("last", made.event("last", "c1"))
        # On a very slow machine five seconds are too few: the worker then says so, and marks drop what comes twice.
        assert repeated(page) == 0 or not in_time
        wait(lambda: page.read().total("afresh_rows", table="users") == 301, "every user to have a row")
        wait(lambda: revisions(made) == [20] * 300, "every list to be of the last state")


def test_partitions_of_a_worker_that_stops_move_at_once(made: Deployment) -> None:
    first, second = made.process(), made.process()
    with made.running(first) as page, made.running(second) as other:
        wait(lambda: page.ready() and other.ready(), "both workers to be ready")
        assert len(members(made.settings)) == 2
        made.load(6000)
        wait(lambda: accepted(page) > 0 and accepted(other) > 0, "both workers to be at work")
        assert told_to_stop(second) == 0
        # During the rebalance the group is empty for a moment. 20 s are far less than the session timeout of 40 s.
        wait(lambda: len(members(made.settings)) == 1, "the other to be alone in the group", 20.0)
        wait(lambda: page.read().total("afresh_rows", table="users") == 300, "the other to own all users")
        made.answer("last", made.event("last", "c1"))
        assert [line for line in lines(second) if line["level"] not in ("INFO", "WARNING")] == []
        said = course(second)
        assert said[0] == "afresh # starts"
        assert said[-2:] == [
            "Told to stop: what is under way is finished and committed",
            "Stopped; everything taken in is committed",
        ]
        gained = [
            line["gained"] for line in lines(first) if line["message"].startswith("Partitions assigned")
        ]
        assert (gained[0], len(gained[-1])) == ([0, 1], 1)
        # Not that nothing is repeated: the worker that stays reads its own runs again if the rebalance interrupts them.
        wait(lambda: revisions(made) == [20] * 300, "every list to be of the last state")


def test_a_worker_stops_in_order_while_redis_is_down(
    kafka: Server, own_redis: Server, tmp_path: Path
) -> None:
    settings = settings_for(kafka, own_redis, tmp_path).model_copy(update={"log_format": "json"})
    with deployment(settings, tmp_path) as made:
        process = made.process()
        with made.running(process) as page:
            made.answer("ann", made.event("ann", "c1"))
            own_redis.kill()
            event = made.event("ann", "c2")
            wait(lambda: page.read().total("afresh_redis_retries_total") > 0, "the worker to notice")
            assert told_to_stop(process) == 0
            assert UNFINISHED in process.log.read_text()
            assert lines(process)[-1]["message"] == f"Stopped; {UNCOMMITTED}"
            assert members(made.settings) == []
            own_redis.start()
            process.start()
            assert made.answer("ann", event).revision == 2


def test_a_worker_that_stops_while_kafka_is_down_has_ended_in_order_and_loses_nothing(
    own_kafka: Server, redis_server: Server, tmp_path: Path
) -> None:
    with deployment(settings_for(own_kafka, redis_server, tmp_path), tmp_path) as made:
        process = made.process()
        with made.running(process) as page:
            made.load(6000)
            wait(lambda: accepted(page) > 0, "the worker to be at work")
            own_kafka.kill()
            assert told_to_stop(process) == 0
            assert UNFINISHED in process.log.read_text()
            own_kafka.start()
            process.start()
            made.ready(process)
            wait(lambda: revisions(made) == [20] * 300, "every event to be counted once")
