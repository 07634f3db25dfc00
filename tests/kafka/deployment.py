"""A deployment for one test: its topics, worker processes and producers, and functions that look at it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from kafka import KafkaConsumer, KafkaProducer
from redis import Redis

from afresh.deploy.clients import places
from afresh.deploy.demo.scrape import Page, Readings
from afresh.deploy.demo.workers import COMMAND, WorkerProcess, environment, variables
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.deploy.servers.process import ServerProcess, free_ports, running
from afresh.state.lists import ListReader, PopularList, UserList, decode_popular_list, decode_user_list
from afresh.streams.connections import kafka_options, redis_options
from afresh.streams.kafka.admin import create_topics
from afresh.streams.settings import Settings
from afresh.streams.stages import STAGES
from afresh.streams.topics import Topic, Topics

T = TypeVar("T")

TABLES = [each.table for each in STAGES]

LAST_LINES = 150
"""Lines that are shown of a worker that does not end."""

LOOK_SECONDS = 0.1
"""Time between two looks. A page of metrics costs its writer and its reader some hundredths of a second each."""

NOW_MS = int(time.time() * 1000) - 3_600_000


class Deployment:
    """A deployment that a test can feed, run and read."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.topics = Topics(settings)
        self.folder = folder
        self.redis = Redis.from_url(**redis_options(settings))
        self.lists = ListReader(self.redis, settings.namespace)
        self.producer = KafkaProducer(
            **kafka_options(settings), enable_idempotence=settings.idempotence, metrics_enabled=False
        )
        self.sent = 0

    def send(self, topic: Topic, key: str, value: Any) -> None:
        """Send a record; a value that is neither bytes nor None is encoded as JSON."""
        encoded = value if isinstance(value, bytes | None) else msgspec.json.encode(value)
        self.producer.send(topic.name, encoded, key.encode()).get(timeout=60)

    def item(self, name: str, **fields: Any) -> None:
        """Send an item."""
        self.send(self.topics.items, name, {"id": name, "domain": "films", "title": name} | fields)

    def event(self, user: str, item: str, **fields: Any) -> str:
        """Send an event and return its id."""
        event = self.next_event(user, item) | fields
        self.send(self.topics.events, f"web:{user}", event)
        return str(event["id"])

    def next_event(self, user: str, item: str) -> dict[str, Any]:
        """Make an event with a new id."""
        self.sent += 1
        return {
            "id": f"event-{self.sent}",
            "type": "view",
            "time": NOW_MS + 1000 * self.sent,
            "user": user,
            "item": item,
            "platform": "web",
            "domain": "films",
        }

    def load(self, count: int, users: int = 300, items: int = 97) -> None:
        """Send events of many users, all at once; of one user and item, only three an hour are learned from."""
        for number in range(count):
            user = f"u{number % users}"
            value = msgspec.json.encode(self.next_event(user, f"i{number % items}"))
            self.producer.send(self.topics.events.name, value, f"web:{user}".encode())
        self.producer.flush()

    def list_of(self, user: str) -> UserList | None:
        """Read the list of a user of the platform ``web``."""
        found = self.lists.of_user(f"web:{user}")
        return None if found is None else decode_user_list(found, user)

    def popular(self, domain: str = "films") -> PopularList | None:
        """Read the popular list of a domain."""
        found = self.lists.popular(domain)
        return None if found is None else decode_popular_list(found, domain)

    def answer(self, user: str, event: str) -> UserList:
        """Wait for the user's list that takes in an event."""

        def answered() -> UserList | None:
            made = self.list_of(user)
            return made if made is not None and made.last_event == event else None

        return wait(answered, f"the list that takes in {event}")

    def records(self, topic: Topic) -> list[Any]:
        """Read all records of a topic."""
        consumer = KafkaConsumer(**kafka_options(self.settings), auto_offset_reset="earliest")
        try:
            consumer.assign(places(topic))
            consumer.seek_to_beginning(*places(topic))
            found: list[Any] = []
            while batch := consumer.poll(timeout_ms=1500):
                found += [record for records in batch.values() for record in records]
        finally:
            consumer.close()
        return found

    def process(self, name: str = "worker", *options: str) -> ServerProcess:
        """Prepare a process of ours."""
        return self._process(f"afresh {name}", name, [*COMMAND, name, *options])

    def changed_worker(self, module: str) -> ServerProcess:
        """Prepare a worker that a module of these tests runs, with something added or broken."""
        return self._process(module, module, [sys.executable, "-m", f"tests.kafka.{module}"])

    def _process(self, title: str, name: str, command: Sequence[str]) -> ServerProcess:
        (port,) = free_ports(1)
        folder = self.folder / f"{name}-{port}"
        folder.mkdir(parents=True)
        return ServerProcess(title, command, port=port, folder=folder)

    @contextmanager
    def running(self, process: ServerProcess) -> Iterator[Page]:
        """Run a process of ours for the block; yield its page once it is ready."""
        with environment(self.variables(process)), running(process):
            try:
                yield self.ready(process)
            except AssertionError:
                # If the process has ended by itself, the end of its log says why; the failed look does not.
                if (process.status or 0) > 0:
                    WorkerProcess(process).check()
                raise

    def variables(self, process: ServerProcess) -> dict[str, str]:
        """Return the environment of a process of ours."""
        port = str(process.port)
        own = {f"{kind}METRICS_PORT": port for kind in ("", "EMBED_", "MODEL_", "SUGGEST_")}
        own["DATA_DIR"] = str(self.data_dir(process))
        ours = variables(self.settings) | {f"AFRESH_{name}": value for name, value in own.items()}
        paths = [str(REPOSITORY / ".src"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
        return ours | {
            "PYTHONFAULTHANDLER": "1",
            # For the modules of ``changed_worker``.
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }

    def data_dir(self, process: ServerProcess) -> Path:
        """Return the folder for a process's own files."""
        return self.settings.data_dir / str(process.port)

    def ready(self, process: ServerProcess) -> Page:
        """Wait until a process is ready, and return its page."""
        worker = WorkerProcess(process)
        worker.wait_until_ready()
        return worker.page

    def close(self) -> None:
        """Close the connections to the servers."""
        self.producer.close(timeout=5)
        self.redis.close()


@contextmanager
def deployment(settings: Settings, folder: Path) -> Iterator[Deployment]:
    """Create the topics of a deployment, and close its connections at the end."""
    create_topics(settings)
    made = Deployment(settings, folder)
    try:
        yield made
    finally:
        made.close()


def wait(look: Callable[[], T | None], what: str, seconds: float = 120.0) -> T:
    """Look again and again until the result is true, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(LOOK_SECONDS)


def accepted(page: Page) -> int:
    """Count the events that a worker has taken in."""
    return page.read().total("afresh_events_total", outcome="accepted")


def learned(readings: Readings) -> int:
    """Count the examples that a worker has learned from."""
    return readings.total("afresh_stage_records_total", stage="learn")


def written(made: Deployment) -> int:
    """Count the records of all changelogs."""
    return sum(len(made.records(getattr(made.topics, table))) for table in TABLES)


def recovered(page: Page) -> int:
    """Count the changelog records that a worker has read into its tables."""
    return page.read().total("afresh_recovered_records_total")


def told_to_stop(process: ServerProcess, seconds: float = 30.0) -> int:
    """Send SIGTERM and return the exit status."""
    running = process._process
    assert running is not None
    running.send_signal(signal.SIGTERM)
    try:
        return running.wait(seconds)
    except subprocess.TimeoutExpired:
        # The end of the log then shows what each thread was doing: see ``Deployment.variables``.
        running.send_signal(signal.SIGABRT)
        running.wait()
        said = "\n".join(process.log.read_text("utf-8", "replace").splitlines()[-LAST_LINES:])
        raise AssertionError(f"the worker did not end within {seconds:g} s:\n{said}") from None


def ended(process: ServerProcess) -> tuple[int | None, str]:
    """Wait for a process to end by itself; return its exit status and the last line of its log."""
    wait(lambda: process.pid is None, "the worker to end")
    return process.status, process.log.read_text().splitlines()[-1]
