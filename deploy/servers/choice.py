"""Chooses the broker and the Redis of a local command: those that the settings name, else new ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from afresh.deploy.servers.kafka import local_kafka
from afresh.deploy.servers.redis import local_redis
from afresh.deploy.servers.server import Server
from afresh.deploy.settings_table import masked
from afresh.streams.settings import Settings


@dataclass(frozen=True)
class Servers:
    """The two servers that every deployment needs."""

    kafka: Server
    redis: Server

    def environment(self) -> dict[str, str]:
        """Return the environment variables that point a process of ours to these servers."""
        variables = {"AFRESH_KAFKA": self.kafka.address, "AFRESH_REDIS": self.redis.address}
        if self.kafka.embedded:
            variables["AFRESH_IDEMPOTENCE"] = "false"
        return variables


@contextmanager
def broker_and_redis(folder: Path, settings: Settings | None = None) -> Iterator[Servers]:
    """Use the broker and the Redis that the settings name, and run a server for each one not named.

    Parameters
    ----------
    folder
        Each server that runs here gets its own folder in it.
    settings
        Settings to use; by default they are read from the environment and ``.env``.

    Raises
    ------
    AfreshError
        If a server is not named and cannot be run.
    """
    settings = settings or Settings()
    named = settings.model_fields_set
    with ExitStack() as stack:
        if "kafka" in named:
            kafka = Server(settings.kafka, "given", f"Kafka at {settings.kafka}")
        else:
            kafka = stack.enter_context(local_kafka(folder / "kafka"))
        if "redis" in named:
            url = settings.redis.get_secret_value()
            redis = Server(url, "given", f"Redis at {masked(url)}")
        else:
            redis = stack.enter_context(local_redis(folder / "redis"))
        yield Servers(kafka, redis)
