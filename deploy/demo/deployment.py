"""Runs a whole deployment on this machine: servers, topics and workers. Nothing of it remains at the end."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from afresh.deploy.demo.kafka_client import dead_letters, delete_topics
from afresh.deploy.demo.lists import Lists
from afresh.deploy.demo.scrape import Page, Readings
from afresh.deploy.demo.stopping import Stop
from afresh.deploy.demo.workers import WorkerProcess, running_workers
from afresh.deploy.monitoring.scraping import EMBED_WORKER, MODEL_WORKER, WORKER
from afresh.deploy.servers import Servers, broker_and_redis
from afresh.deploy.servers.process import free_ports
from afresh.state.lists import everything_pattern
from afresh.streams import redis_url
from afresh.streams.connections import redis_options
from afresh.streams.kafka.admin import create_topics
from afresh.streams.kafka.polls import SHORT_SECONDS
from afresh.streams.settings import Settings

REDIS_SECONDS = 10.0

JOBS = {"afresh worker": WORKER, "afresh embed-worker": EMBED_WORKER, "afresh model-worker": MODEL_WORKER}
"""Name of the job in Prometheus, by the name of the process."""


@dataclass(frozen=True)
class Deployment:
    """A running deployment.

    Attributes
    ----------
    servers
        Its broker and its Redis.
    settings
        The settings of its workers.
    workers
        Its workers; the first is the one that recommends.
    redis
        A connection to its Redis.
    """

    servers: Servers
    settings: Settings
    workers: list[WorkerProcess]
    redis: Redis

    @property
    def page(self) -> Page:
        """Metrics page of the worker that recommends."""
        return self.workers[0].page

    @property
    def ports(self) -> dict[str, int]:
        """Port of each worker's page, by the name of the job in Prometheus."""
        return {JOBS[each.name]: each.page.port for each in self.workers}

    @property
    def lists(self) -> Lists:
        """The lists, as an application reads them."""
        return Lists(self.redis, self.settings.namespace)

    @property
    def description(self) -> str:
        """Names of the broker and the Redis, for people."""
        return f"{self.servers.kafka.description} · {self.servers.redis.description}"

    def check(self) -> None:
        """Raise ``WorkerDied`` if a worker has ended."""
        for worker in self.workers:
            worker.check()

    def dead_letters(self, readings: Readings) -> int:
        """Count the records in the dead-letter topic."""
        # The end offsets of the embedded broker are wrong after a batch of several records.
        if self.servers.kafka.embedded:
            return readings.total("afresh_dead_letters_total")
        return dead_letters(self.settings)


@contextmanager
def deployment(folder: Path, stop: Stop) -> Iterator[Deployment]:
    """Run everything, with its files in ``folder``.

    Servers that the settings name are used instead of new ones. The topics and keys of the demo are deleted there
    at the end.

    Raises
    ------
    AfreshError
        If a server or a worker does not start.
    """
    with ExitStack() as stack:
        servers = stack.enter_context(broker_and_redis(folder))
        settings = demo_settings(servers, folder)
        redis = stack.enter_context(redis_url.client(**redis_options(settings), socket_timeout=REDIS_SECONDS))
        with stop.later():
            create_topics(settings)
        if _shared(servers):
            stack.callback(_clean, settings, redis)
        workers = stack.enter_context(running_workers(settings, folder))
        yield Deployment(servers, settings, workers, redis)


def demo_settings(servers: Servers, folder: Path) -> Settings:
    """Return the settings of a demo: it sets what it must, and the environment decides the rest."""
    pages = ("metrics_port", "embed_metrics_port", "model_metrics_port")
    advice: dict[str, float] = dict(zip(pages, free_ports(len(pages)), strict=True))
    if servers.kafka.embedded:
        advice["partitions"] = 1
        # The longer it may hold a fetch, the more seldom it looks for records: with 1.5 s, every 0.3 s.
        advice["fetch_max_wait_seconds"] = SHORT_SECONDS
    named = Settings().model_fields_set
    chosen: dict[str, Any] = {name: value for name, value in advice.items() if name not in named}
    chosen |= {"kafka": servers.kafka.address, "redis": servers.redis.address, "data_dir": folder / "data"}
    if servers.kafka.embedded:
        chosen["idempotence"] = False
    if _shared(servers):
        # Others may use this server: the events of a demo must not mix with theirs.
        chosen["namespace"] = f"afresh-demo-{secrets.token_hex(4)}"
    return Settings(**chosen)


def _shared(servers: Servers) -> bool:
    return "given" in (servers.kafka.kind, servers.redis.kind)


def _clean(settings: Settings, redis: Redis) -> None:
    delete_topics(settings)
    for key in redis.scan_iter(everything_pattern(settings.namespace), count=1000):
        redis.delete(key)
