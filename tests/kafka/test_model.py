"""Model workers over genuine Kafka: they make the model for workers that derive nothing, and replace each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from afresh.deploy.demo.scrape import Page
from afresh.deploy.demo.workers import environment
from afresh.deploy.ledger import audit
from afresh.deploy.servers.process import ServerProcess, running
from afresh.state.model import told
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment, wait
from tests.streams.making import read_page

ITEMS = 60
SETTLE_SECONDS = 90.0


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    chosen = {"model": "worker", "session_timeout_seconds": 6.0, "list_refresh_seconds": 0.5}
    with deployment(settings.model_copy(update=chosen), tmp_path) as each:
        for number in range(ITEMS):
            each.item(f"i{number}")
        yield each


def versions(made: Deployment) -> list[int]:
    """Return the versions that were told whole, in order."""
    whole = [record.value for record in made.records(made.topics.model) if record.key == b"whole"]
    return [told.decoder.decode(value).version for value in whole]


def derived(page: Page) -> int:
    """Count the versions that a process has derived."""
    return page.read().total("afresh_stage_seconds_count", stage="derive")


def led_since(process: ServerProcess) -> str:
    """Return when a process began to lead the last time, as its log has it."""
    lines = process.log.read_text("utf-8").splitlines()
    return max((line for line in lines if "makes the model from now on" in line), default="")


def says_that_there_is_no_model(page: Page) -> bool:
    """Whether a process is not ready for want of a model; false while it does not answer."""
    try:
        return "no model" in read_page(page.port, "/ready")[1]
    except OSError:
        return False


def first_ids(made: Deployment, user: str) -> list[str]:
    """Return the ids of the first items of a user's list."""
    listed = made.list_of(user)
    return [] if listed is None else [item.id for item in listed.items[:5]]


def pair(made: Deployment, one: str, other: str, users: range) -> None:
    """Let users take two items together."""
    for user in users:
        made.event(f"u{user}", one)
        made.event(f"u{user}", other)


def test_workers_derive_nothing_and_wait_for_the_model_of_a_model_worker(made: Deployment) -> None:
    worker = made.process()
    with environment(made.variables(worker)), running(worker):
        page = Page(worker.port)
        wait(lambda: says_that_there_is_no_model(page), "the worker to say that there is no model")
        with made.running(made.process("model-worker")):
            wait(page.ready, "the worker to be ready")
            pair(made, "i1", "i2", range(20))
            last = made.event("newcomer", "i1")
            listed = made.answer("newcomer", last)
            wait(lambda: "i2" in first_ids(made, "newcomer"), "the pair to stand in the list of another")
            assert listed.model_version > 0
            assert derived(page) == 0
            report = audit(made.settings, wait_seconds=SETTLE_SECONDS)
    assert report.differences == []


def test_a_killed_model_worker_is_replaced_and_lists_go_on_meanwhile(made: Deployment) -> None:
    both = made.process("model-worker"), made.process("model-worker")
    with made.running(both[0]), made.running(both[1]), made.running(made.process()):
        pair(made, "i1", "i2", range(10))
        before = wait(lambda: versions(made), "a version")[-1]
        max(both, key=led_since).kill()
        last = made.event("alone", "i1")
        assert made.answer("alone", last).model_version >= before
        pair(made, "i3", "i4", range(20))
        wait(lambda: versions(made)[-1] > before, "the other one to make a version")
        made.answer("late", made.event("late", "i3"))
        wait(lambda: "i4" in first_ids(made, "late"), "what the other one made to reach the lists")
        report = audit(made.settings, wait_seconds=SETTLE_SECONDS)
    assert report.differences == []
