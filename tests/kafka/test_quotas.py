"""Under a quota of Kafka a process waits; it says so, and goes on once it may."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from faust import __version__ as faust_version

from afresh.deploy.demo.workers import WorkerProcess, environment
from afresh.deploy.servers.kafka import Installation
from afresh.deploy.servers.process import running
from afresh.streams.settings import Settings
from tests.kafka.deployment import accepted, deployment, recovered, told_to_stop, wait

CLIENT = f"faust-{faust_version}"
EVENTS = 3_000
BYTES_PER_SECOND = 2_000
"""So low that the rows do not come within the ten seconds before the first sentence, on no machine."""


@contextmanager
def quota(kafka: Installation, settings: Settings) -> Iterator[None]:
    """Give clients of workers a low quota for the block."""
    tool = kafka.command("kafka.admin.ConfigCommand", "--bootstrap-server", settings.kafka, "--alter")
    client = ["--entity-type", "clients", "--entity-name", CLIENT]

    def run(*change: str) -> None:
        subprocess.run([*tool, *client, *change], check=True, capture_output=True)

    run("--add-config", f"consumer_byte_rate={BYTES_PER_SECOND}")
    try:
        yield
    finally:
        run("--delete-config", "consumer_byte_rate")


def test_a_throttled_recovery_says_so_and_ends_once_the_quota_is_raised(
    settings: Settings, kafka_installation: Installation, tmp_path: Path
) -> None:
    with deployment(settings, tmp_path) as made:
        made.load(EVENTS, users=EVENTS)
        first = made.process()
        with made.running(first) as page:
            wait(lambda: accepted(page) == EVENTS, "the events to be taken in")
            last = made.event("ann", "i1")
            made.answer("ann", last)
            assert told_to_stop(first) == 0
        second = made.process()
        with ExitStack() as low, environment(made.variables(second)):
            low.enter_context(quota(kafka_installation, settings))
            with running(second):
                wait(lambda: "Kafka throttles this process" in second.log.read_text(), "the sentence")
                page = WorkerProcess(second).page
                throttled = page.read().total("afresh_kafka_throttled_seconds_total", request="Fetch")
                rows = recovered(page)
                low.close()
                WorkerProcess(second).wait_until_ready()
                assert recovered(page) > rows
        sentence = next(line for line in second.log.read_text().splitlines() if "throttles" in line)
        assert throttled > 0
        assert f"client id {CLIENT}" in sentence
        assert "records remain to recover" in sentence
        assert "consumer_byte_rate" in sentence
