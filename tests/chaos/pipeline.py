"""Servers, and the production processes on them; a supervisor restarts the processes when they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from redis.exceptions import RedisError

from afresh.deploy.demo.scrape import Page
from afresh.deploy.demo.workers import variables
from afresh.deploy.servers.process import ServerProcess, free_ports
from afresh.state.errors import AfreshError
from afresh.state.lists import ListReader, decode_user_list
from afresh.streams import redis_url
from afresh.streams.connections import redis_options
from afresh.streams.kafka.admin import create_topics
from afresh.streams.kafka.patient import PatientAdmin
from afresh.streams.settings import INLINE, Settings
from afresh.streams.topics import Topics
from tests.chaos.servers import Servers, running_servers

MOST_WORKERS = 4

MODEL_WORKERS = 2
"""Model workers, where these make the model: one leads, the other stands by."""

SESSION_SECONDS = 6.0
"""The shortest session timeout that a broker allows by default. A worker that sleeps longer loses its partitions."""

CLUSTER_SESSION_SECONDS = 10.0
"""The session timeout with three brokers: with these on two busy cores, a worker may be silent for seconds."""

PATIENCE_SECONDS = 300.0
"""Longest wait for anything; after it, the pipeline counts as hanging. A worker should be ready again within 30 s
on an idle machine. On a busy machine, the embed worker's imports alone have taken 90 s."""

LOOK_SECONDS, KEEP_SECONDS = 10.0, 20.0
"""How often workers look for texts that no encoder has read, and for how long vectors of older encoders are kept."""

DISK_MIB = 768
"""Size of the disk for the workers' databases. Each keeps up to 64 MiB of newest writes in a log beside the rows."""

COMPACTED_OFTEN = {
    "segment.ms": "5000",
    "min.cleanable.dirty.ratio": "0.01",
    "max.compaction.lag.ms": "10000",
}
"""Settings of every changelog and of the model: Kafka compacts often, so that recovery reads logs with holes."""


class End(NamedTuple):
    """A process ended by itself."""

    name: str
    status: int | None


class Member:
    """A process of ours under a supervisor.

    Parameters
    ----------
    process
        The process.
    starter
        Starts the process from a thread that stays: Linux kills a child when the thread that started it ends.
    ends
        Gets one more each time that the process has ended by itself.
    """

    def __init__(self, process: ServerProcess, starter: ThreadPoolExecutor, ends: list[End]) -> None:
        self.process = process
        self.page = Page(process.port)
        self.wanted = False
        self._starter = starter
        self._ends = ends
        self._starting: Future[None] | None = None
        self._killed = False

    @property
    def name(self) -> str:
        """Name of the process."""
        return self.process.name

    def start(self) -> None:
        """Keep the process running from now on; return at once."""
        self.wanted = True
        self._killed = True
        self.tend()

    def tend(self) -> None:
        """Restart the process if it has ended."""
        if not self.wanted or self.process.pid is not None:
            return
        if self._starting is not None and not self._starting.done():
            return
        if not self._killed:
            self._ends.append(End(self.name, self.process.status))
        self._killed = False
        self._starting = self._starter.submit(self._start)

    def _start(self) -> None:
        # While Kafka is down the process may end at once; the supervisor then restarts it.
        with suppress(AfreshError):
            self.process.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if the process runs."""
        pid = self.process.pid
        if pid is None:
            return
        self._killed = number in (signal.SIGKILL, signal.SIGTERM)
        os.kill(pid, number)

    def wait_for_end(self, seconds: float = 20.0) -> None:
        """Return once the process has ended.

        Raises
        ------
        TimeoutError
            If it has not ended after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while self.process.pid is not None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} has not ended within {seconds:g} s")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the process for good."""
        self.wanted = False
        self.signal(signal.SIGCONT)
        if self._starting is not None:
            self._starting.cancel()
        self.process.stop()


class Pipeline:
    """Everything that a fault can act on.

    Parameters
    ----------
    servers
        Servers for this pipeline alone.
    settings
        Settings of its processes.
    folder
        Folder for logs and for the workers' own files.
    workers
        Number of workers that normally run; faults may add or stop some.
    """

    def __init__(self, servers: Servers, settings: Settings, folder: Path, workers: int) -> None:
        self.servers = servers
        self.settings = settings
        self.topics = Topics(settings)
        self.base = workers
        self.redis = redis_url.client(**redis_options(settings), socket_timeout=2.0)
        self._lists = ListReader(self.redis, settings.namespace)
        self.admin = PatientAdmin(settings, PATIENCE_SECONDS)
        self.ends: list[End] = []
        """How processes have ended by themselves so far."""
        self.disk = folder / "disk"
        """Folder for the workers' own files; for root it is a separate small disk."""
        self.folder = folder
        """Folder for logs, and for all that faults leave on the disk."""
        self._starter = ThreadPoolExecutor(MOST_WORKERS + MODEL_WORKERS + 1, "starter")
        self.workers = [self._member("worker") for _ in range(MOST_WORKERS)]
        self.embed = self._member("embed-worker")
        number = 0 if settings.model == INLINE else MODEL_WORKERS
        self.model_workers = [self._member("model-worker") for _ in range(number)]
        self._all = [*self.workers, self.embed, *self.model_workers]

    @property
    def members(self) -> list[Member]:
        """All processes that should run now."""
        return [each for each in self._all if each.wanted]

    def _member(self, name: str) -> Member:
        (port,) = free_ports(1)
        folder = self.folder / f"{name}-{port}"
        folder.mkdir()
        own = {
            "AFRESH_METRICS_PORT": port,
            "AFRESH_EMBED_METRICS_PORT": port,
            "AFRESH_MODEL_METRICS_PORT": port,
            "AFRESH_DATA_DIR": self.disk / folder.name,
        }
        values = variables(self.settings) | {name: str(value) for name, value in own.items()}
        return Member(
            ServerProcess(f"{name}-{port}", command(name, values), port=port, folder=folder),
            self._starter,
            self.ends,
        )

    def tend(self) -> None:
        """Restart the processes that have ended."""
        for member in self._all:
            member.tend()

    def sleep(self, seconds: float) -> None:
        """Wait, and restart processes meanwhile."""
        deadline = time.monotonic() + seconds
        while True:
            self.tend()
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.1, left))

    def wait_until(self, done: Callable[[], bool], pause: float) -> bool:
        """Wait until ``done`` is true, and restart processes meanwhile; False after ``PATIENCE_SECONDS``."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not done():
            if time.monotonic() > deadline:
                return False
            self.sleep(pause)
        return True

    def not_ready(self) -> list[str]:
        """List the processes that should run and are not ready, and what each says of it."""
        missing = [
            (each.name, "does not run" if each.process.pid is None else each.page.not_ready())
            for each in self.members
        ]
        return [f"{name}: {what}" for name, what in missing if what]

    def have_answered(self, asked: Mapping[str, str]) -> bool:
        """Whether the list of each user takes in an event, by its id."""
        try:
            return all(self._has_answered(user, event) for user, event in asked.items())
        except RedisError:
            return False

    def _has_answered(self, user: str, event: str) -> bool:
        found = self._lists.of_user(f"web:{user}")
        return found is not None and decode_user_list(found, user).last_event == event

    def stop(self) -> None:
        """End all processes."""
        for member in self._all:
            member.stop()
        self._starter.shutdown()
        self.redis.close()
        self.admin.close()


def command(name: str, values: Mapping[str, str]) -> list[str]:
    """Return the command of a process of ours, with its own environment variables."""
    assignments = [f"{variable}={value}" for variable, value in values.items()]
    return ["env", *assignments, sys.executable, "-m", "afresh.deploy.cli", name]


@contextmanager
def running_pipeline(
    folder: Path, workers: int, state: str = "memory", brokers: int = 1, *, model: str = INLINE
) -> Iterator[Pipeline]:
    """Run servers, workers, an embed worker and model workers where these are chosen; stop them all at the end."""
    with ExitStack() as stack:
        servers = stack.enter_context(running_servers(folder, brokers))
        settings = settings_of(servers, state, model)
        create_topics(settings)
        compact_often(settings)
        look_often(settings, brokers)
        stack.enter_context(small_disk(folder / "disk"))
        pipeline = Pipeline(servers, settings, folder, workers)
        stack.callback(pipeline.stop)
        for member in (*pipeline.workers[:workers], pipeline.embed, *pipeline.model_workers):
            member.start()
        yield pipeline


@contextmanager
def small_disk(folder: Path, mib: int = DISK_MIB) -> Iterator[None]:
    """Mount a small disk in memory if we are root; otherwise only make the folder."""
    folder.mkdir()
    if os.geteuid() != 0:
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "chaos", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def settings_of(servers: Servers, state: str, model: str) -> Settings:
    """Return the settings of the deployment under faults."""
    brokers = len(servers.kafka.brokers)
    values = {
        "kafka": servers.kafka.address,
        "redis": servers.redis_address,
        "namespace": "chaos",
        "partitions": 4,
        "replication": brokers,
        "session_timeout_seconds": SESSION_SECONDS if brokers == 1 else CLUSTER_SESSION_SECONDS,
        "encoder_batch": 8,
        "encoder_check_seconds": LOOK_SECONDS,
        "encoder_keep_days": KEEP_SECONDS / 86_400,
        "state": state,
        "model": model,
    }
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


def compact_often(settings: Settings) -> None:
    """Let the brokers compact the changelogs and what the model tells whenever they look."""
    topics = Topics(settings)
    names = [topic.name for topic in topics.all() if topic.name.endswith(".changelog")] + [topics.model.name]
    _set(settings, [ConfigResource(ConfigResourceType.TOPIC, name, COMPACTED_OFTEN) for name in names])


def look_often(settings: Settings, brokers: int) -> None:
    """Let the brokers look for something to compact all the time; by default they look only every 15 s."""
    often = {"log.cleaner.backoff.ms": "1000"}
    _set(
        settings, [ConfigResource(ConfigResourceType.BROKER, str(each + 1), often) for each in range(brokers)]
    )


def _set(settings: Settings, resources: Sequence[ConfigResource]) -> None:
    admin = KafkaAdminClient(bootstrap_servers=settings.brokers)
    try:
        admin.alter_configs(resources)
    finally:
        admin.close()
