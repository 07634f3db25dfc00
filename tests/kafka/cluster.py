"""A cluster of three genuine brokers, each also a controller, of which a test may stop one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from afresh.deploy.servers.kafka import CLUSTER_ID, Installation, _properties
from afresh.deploy.servers.process import HOST, ServerProcess, free_ports
from afresh.streams.kafka.patient import PatientAdmin

NODES = 3

SMALL = ("-Xmx256m", "-XX:TieredStopAtLevel=1")
"""Options of the JVMs, which live for minutes: code that is compiled at once, though not well, starts sooner."""

START_SECONDS = 300.0
"""Longest wait for a broker. It answers clients only once it has caught up with the others, which are as busy."""

REPLICATED = {
    "min.insync.replicas": "2",
    "default.replication.factor": "3",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    # So long, clients are told to ask a broker that has died; 9 s by default.
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "1000",
}


class Cluster:
    """Three brokers.

    Parameters
    ----------
    brokers
        Their processes; the id of a broker is its place in the list, counted from 1.
    """

    def __init__(self, brokers: list[ServerProcess]) -> None:
        self.brokers = brokers

    @property
    def address(self) -> str:
        """Return the addresses of all brokers."""
        return ",".join(f"{HOST}:{broker.port}" for broker in self.brokers)

    def broker(self, node: int) -> ServerProcess:
        """Return the process of a broker."""
        return self.brokers[node - 1]

    def start(self) -> None:
        """Start the brokers that do not run, at once: the first one waits for a quorum."""
        down = [broker for broker in self.brokers if broker.pid is None]
        for broker in down:
            broker._process = broker._spawn()
        for broker in down:
            assert broker._process is not None
            broker._wait(broker._process, START_SECONDS)

    @contextmanager
    def without(self, node: int) -> Iterator[None]:
        """Kill a broker for the block."""
        self.broker(node).kill()
        try:
            yield
        finally:
            self.start()


@contextmanager
def local_cluster(kafka: Installation, folder: Path) -> Iterator[Cluster]:
    """Run a cluster on free ports of the loopback interface."""
    ports = free_ports(2 * NODES)
    voters = ",".join(f"{node}@{HOST}:{ports[NODES + node - 1]}" for node in range(1, NODES + 1))
    cluster = Cluster([])
    formatting = []
    for node in range(1, NODES + 1):
        place = folder / f"broker {node}"
        place.mkdir(parents=True)
        properties = {
            **_properties(ports[node - 1], ports[NODES + node - 1]),
            **REPLICATED,
            "node.id": str(node),
            "controller.quorum.voters": voters,
        }
        text = "".join(f"{name}={value}\n" for name, value in properties.items())
        (place / "server.properties").write_text(text, encoding="ascii")
        tool = ("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", "server.properties")
        formatting.append(subprocess.Popen(_small(kafka, *tool), cwd=place, stdout=subprocess.DEVNULL))
        command = _small(kafka, "kafka.Kafka", "server.properties")
        broker = ServerProcess(f"broker {node}", command, port=ports[node - 1], folder=place)
        cluster.brokers.append(broker)
    assert [each.wait() for each in formatting] == [0] * NODES
    with ExitStack() as stop:
        for broker in cluster.brokers:
            # Killed: in an orderly stop, the last two would wait for a quorum.
            stop.callback(broker.kill)
        cluster.start()
        yield cluster


def coordinator(admin: PatientAdmin, group: str) -> int:
    """Return the id of the broker that coordinates a consumer group."""

    def found(client: Any) -> int:
        return int(client._manager.run(client._find_coordinator_id, group))

    return admin.ask(found)


def _small(kafka: Installation, *arguments: str) -> list[str]:
    command = kafka.command(*arguments)
    java, *rest = (word for word in command if not word.startswith("-Xmx"))
    return [java, *SMALL, *rest]
