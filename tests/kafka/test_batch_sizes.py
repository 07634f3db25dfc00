"""Topics may take smaller record batches than Kafka's default: runs are cut accordingly, or refused in a sentence."""

from __future__ import annotations

import random
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from afresh.deploy.demo.workers import COMMAND, environment, variables
from afresh.state.errors import MEND_STATUS
from afresh.streams.kafka.limits import LEAST_BYTES
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic
from tests.kafka.deployment import Deployment, accepted, deployment, ended, learned, told_to_stop, wait

EVENTS = 3_000
LARGE_ITEMS = 24


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings, tmp_path) as made:
        yield made


def limit(made: Deployment, size: int, *topics: Topic) -> None:
    """Let topics take no larger batches."""
    admin = KafkaAdminClient(bootstrap_servers=made.settings.brokers)
    config = {"max.message.bytes": str(size)}
    admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, each.name, configs=config) for each in topics]
    )
    admin.close()


def run(made: Deployment, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours until it ends."""
    with environment(variables(made.settings)):
        return subprocess.run([*COMMAND, *command], capture_output=True, text=True, timeout=120, check=False)


def text(size: int) -> str:
    """Make a text that cannot be compressed."""
    return "".join(random.Random(size).choices(string.ascii_letters, k=size))


def test_a_backlog_is_worked_off_where_topics_take_only_small_batches(made: Deployment) -> None:
    ours = [topic for topic in made.topics.ours() if topic != made.topics.dead_letters]
    limit(made, LEAST_BYTES, *ours)
    for number in range(LARGE_ITEMS):
        made.item(f"large-{number}", text=text(60_000))
    made.load(EVENTS, users=EVENTS, items=500)
    process = made.process()
    with made.running(process) as page:
        wait(lambda: accepted(page) == EVENTS and learned(page.read()) == EVENTS, "the backlog to be done")
        last = made.event("ann", "large-1")
        made.answer("ann", last)
        wait(lambda: page.read().total("afresh_catalogue_items") >= LARGE_ITEMS, "the items to be there")
        assert told_to_stop(process) == 0


def test_a_limit_below_the_least_is_refused_at_start_and_named_by_the_check(made: Deployment) -> None:
    limit(made, 100_000, made.topics.users)
    worker, check = run(made, "worker"), run(made, "topics", "check")
    fault = f"{made.topics.users.name} has max.message.bytes 100000"
    assert worker.returncode == MEND_STATUS
    assert f"{fault}, and {LEAST_BYTES} is the least" in worker.stderr
    assert check.returncode == 1
    assert f"{fault}: a row or record of up to {LEAST_BYTES} is written" in check.stdout


def test_a_row_that_is_larger_than_its_topic_takes_ends_the_worker_in_a_sentence(
    settings: Settings, tmp_path: Path
) -> None:
    with deployment(settings.model_copy(update={"text_limit_bytes": 600_000}), tmp_path) as made:
        limit(made, LEAST_BYTES, made.topics.content)
        made.item("huge", text=text(500_000))
        process = made.process()
        with environment(made.variables(process)):
            process.start()
        status, sentence = ended(process)
    assert status == MEND_STATUS
    assert f"bytes for {made.topics.content.name} cannot be cut" in sentence
    assert f"larger than max.message.bytes of the topic ({LEAST_BYTES:,} bytes)" in sentence
    assert "a record batch of 50" in sentence
