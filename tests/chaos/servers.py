"""The servers of a pipeline: one broker and one Redis, or three brokers and a Redis with its replica and a Sentinel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from afresh.deploy.servers import Server, local_kafka, local_redis
from afresh.deploy.servers.kafka import genuine_kafka
from afresh.streams.redis_url import sentinels_of
from tests.kafka.cluster import Cluster, local_cluster
from tests.kafka.redis_roles import SERVICE, command, master_and_replica, port_of, sentinel

QUICKLY = ("--repl-diskless-sync-delay", "0")
"""A master sends its data to a replica at once; by default it waits 5 s for other replicas."""

SILENCE_MS = 2000
"""Silence after which a Sentinel takes a Redis for dead. On a busy machine, less would be mistaken for death."""


@dataclass(frozen=True)
class Servers:
    """The servers of a pipeline.

    Attributes
    ----------
    kafka
        The brokers.
    redis
        A Redis, or two of which one is the replica of the other.
    redis_address
        The URL of the Redis, or of the Sentinel that knows which of the two takes writes.
    """

    kafka: Cluster
    redis: Sequence[Server]
    redis_address: str

    @property
    def master(self) -> Server:
        """The Redis that takes writes."""
        if len(self.redis) == 1:
            return self.redis[0]
        with self._sentinel() as guard:
            _, port = guard.sentinel_get_master_addr_by_name(SERVICE)
        (found,) = (each for each in self.redis if port_of(each) == port)
        return found

    @property
    def replica(self) -> Server:
        """The Redis that copies the other."""
        master = self.master
        (found,) = (each for each in self.redis if each is not master)
        return found

    def in_step(self) -> bool:
        """Whether the replica runs, and has all that the master has."""
        replica = self.replica
        if replica.process is None or replica.process.pid is None:
            return False
        said = replication(replica)
        return said["role"] == "slave" and said["master_link_status"] == "up" and self._can_hand_over()

    def hand_over(self) -> None:
        """Let the Sentinel make the replica the master, although both run."""
        with self._sentinel() as guard:
            guard.sentinel_failover(SERVICE)

    def _can_hand_over(self) -> bool:
        """Whether the Sentinel also knows that the replica is one, and has ended what it did before."""
        with self._sentinel() as guard:
            (replica,) = guard.sentinel_slaves(SERVICE)
            master = guard.sentinel_master(SERVICE)
        return bool(replica["role-reported"] == "slave" and master["flags"] == "master")

    def _sentinel(self) -> Redis:
        ((host, port),) = sentinels_of(self.redis_address).addresses
        return Redis(host=host, port=port)


def replication(server: Server) -> dict[str, str]:
    """Return what a Redis says about its role."""
    said: dict[str, str] = command(server, "INFO", "replication")
    return said


@contextmanager
def running_servers(folder: Path, brokers: int) -> Iterator[Servers]:
    """Run one broker and one Redis, or three brokers and a Redis with its replica and a Sentinel."""
    if brokers == 1:
        with local_kafka(folder / "kafka", kind="kafka") as kafka, local_redis(folder / "redis") as redis:
            assert kafka.process is not None
            yield Servers(Cluster([kafka.process]), [redis], redis.address)
        return
    patient = [f"sentinel down-after-milliseconds {SERVICE} {SILENCE_MS}"]
    with (
        local_cluster(genuine_kafka(), folder / "kafka") as cluster,
        master_and_replica(folder, QUICKLY) as pair,
        sentinel(folder / "sentinel", pair[0], patient) as address,
    ):
        yield Servers(cluster, pair, f"redis+sentinel://{address}/{SERVICE}/0")
