"""Which broker and which Redis a local command uses: those that the settings name, else its own."""

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
    """The two servers that everything stands on."""

    kafka: Server
    redis: Server

    def environment(self) -> dict[str, str]:
        """Variables that point a process of ours at these servers."""
        variables = {"AFRESH_KAFKA": self.kafka.address, "AFRESH_REDIS": self.redis.address}
        if self.kafka.embedded:
            variables["AFRESH_IDEMPOTENCE"] = "false"
        return variables


@contextmanager
def broker_and_redis(folder: Path, settings: Settings | None = None) -> Iterator[Servers]:
    """Use the broker and the Redis that the environment or ``.env`` names, and run those that it does not.

    Parameters
    ----------
    folder
        Each server that is run gets a folder of its own in here.
    settings
        Default: read from the environment and ``.env``.

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
