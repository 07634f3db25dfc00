"""Measure recovery: ``python -m tests.benchmarks.recovery`` fills changelogs, kills a worker, and times the takeover.

There are two ways to take over. Either the killed worker starts again at once, over its own files. Or a second worker,
which ran all the time, takes over the partitions. The second worker holds no rows of these partitions, or it holds
copies of them (a standby).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr
from rich.console import Console

from afresh.deploy.demo.scrape import Readings
from afresh.deploy.demo.workers import WorkerProcess
from afresh.deploy.servers import local_kafka, local_redis
from afresh.state.errors import AfreshError
from afresh.streams.kafka.admin import create_topics
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics
from tests.benchmarks import events, footprint, rows
from tests.benchmarks.measure import cpu_seconds, peak_rss_bytes
from tests.benchmarks.recovery_report import WAYS, Recovery, Way, figures, recoveries, sizes
from tests.benchmarks.workers import start_worker

PARTITIONS = 8
WAIT_SECONDS = 300.0
POLL_SECONDS = 0.05
REPORT_WIDTH = 120


def fill(settings: Settings, users: int, items: int, encoder_version: str = "1") -> None:
    """Write the changelogs of a deployment that has run for a long time."""
    topics = Topics(settings)
    for topic, records in (
        (topics.users, rows.user_rows(users, items)),
        (topics.behaviour, rows.behaviour_rows(items, settings.partitions)),
        (topics.content, rows.content_rows(items, encoder_version=encoder_version)),
    ):
        events.write(settings.kafka, topic.name, records)


def measure(way: Way, settings: Settings, folder: Path, held: int) -> Recovery:
    """Kill a worker that is ready, and measure the time until its partitions are ready again.

    Parameters
    ----------
    way
        How rows are kept, and who takes over.
    settings
        The deployment.
    folder
        Folder for the workers' files.
    held
        Rows in all tables. A standby is complete when it holds this number.
    """
    chosen = settings.model_copy(update={"state": way.state, "standby_replicas": way.standby_replicas})
    with ExitStack() as stack:
        began = time.monotonic()
        process, first = start_worker(chosen, folder / way.name / "first", stack)
        wait(first, first.page.ready, "to be ready")
        whole = time.monotonic() - began
        heir_process, heir = process, first
        before = Readings()
        if way.second:
            heir_process, heir = start_worker(chosen, folder / way.name / "second", stack)
            wait(heir, lambda: heir.page.ready() and first.page.ready(), "to share the partitions")
            if way.standby_replicas:
                wait(heir, lambda: heir.page.read().total("afresh_rows") >= held, "to hold all rows")
            before = heir.page.read()
        assert heir_process.pid is not None, "it has just answered"
        spent = cpu_seconds(heir_process.pid) if way.second else 0.0
        killed = time.monotonic()
        process.kill()
        if not way.second:
            process.start()
        rebalances = before.total("afresh_rebalances_total")
        wait(
            heir,
            lambda: heir.page.read().total("afresh_rebalances_total") > rebalances,
            "to be given the partitions",
        )
        detected = time.monotonic() - killed
        wait(heir, heir.page.ready, "to be ready again")
        ready = time.monotonic() - killed
        after = heir.page.read()
        pid = heir_process.pid
        assert pid is not None, "it has just answered"
        spent, memory = cpu_seconds(pid) - spent, peak_rss_bytes(pid)
    recovering, applying = (after.value("afresh_recovery_seconds", part=part) for part in ("whole", "apply"))
    records = "afresh_recovered_records_total"
    return Recovery(
        detection_seconds=detected,
        fetch_seconds=recovering - applying,
        apply_seconds=applying,
        rest_seconds=max(ready - detected - recovering, 0.0),
        cpu_seconds=spent,
        records=after.total(records) - before.total(records),
        first_seconds=whole,
        peak_rss_bytes=memory,
    )


def wait(worker: WorkerProcess, look: Callable[[], object], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait until ``look`` returns something true, for so many seconds at most.

    Raises
    ------
    WorkerDied
        If the worker ends first.
    TimeoutError
        If it takes too long.
    """
    deadline = time.monotonic() + seconds
    while not look():
        worker.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:g} s a worker has failed {what}")
        time.sleep(POLL_SECONDS)


def run(
    settings: Settings, folder: Path, users: int, items: int, say: Callable[[str], None]
) -> dict[Way, Recovery]:
    """Measure every way to take over, with the same changelogs."""
    create_topics(settings)
    say(f"writing {users:,} users and {items:,} items …")
    fill(settings, users, items)
    measured = {}
    for way in WAYS:
        say(f"killing a worker: {way.name} …")
        measured[way] = measure(way, settings, folder, users + 2 * items)
    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print tables, and write the figures."""
    parser = argparse.ArgumentParser(prog="bench-recovery", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--users", type=int, default=1_000_000, metavar="N", help="user rows")
    parser.add_argument("--items", type=int, default=100_000, metavar="N", help="items, each with two rows")
    chosen = parser.parse_args(arguments)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    console = Console(width=None if sys.stdout.isatty() else REPORT_WIDTH)
    packed = rows.packed_bytes(chosen.items, PARTITIONS)
    memory = footprint.measure(chosen.users, chosen.items)
    console.print(sizes(packed, memory))
    with TemporaryDirectory() as name:
        folder = Path(name)
        with local_kafka(folder / "kafka", kind="kafka") as kafka, local_redis(folder / "redis") as redis:
            settings = Settings(
                kafka=kafka.address,
                redis=SecretStr(redis.address),
                namespace="recovery",
                partitions=PARTITIONS,
            )
            measured = run(settings, folder, chosen.users, chosen.items, console.print)
    console.print(recoveries(measured))
    if chosen.json:
        chosen.json.write_text(json.dumps(figures(packed, memory, measured), indent=2) + "\n")


if __name__ == "__main__":
    try:
        main()
    except AfreshError as error:
        sys.exit(str(error))
