"""A worker of three brokers: it knows whether they have a quorum, and its log calls nobody for a rolling restart."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kafka import KafkaAdminClient

from afresh.deploy.servers import Server
from tests.conftest import settings_for
from tests.kafka.cluster import NODES, Cluster
from tests.kafka.deployment import Deployment, accepted, deployment, wait
from tests.kafka.test_redis_roles import is_ready, says

LINES = 120
"""Most lines that a worker writes in a rolling restart, besides those of its own start."""


@pytest.fixture(scope="module")
def made(
    cluster: Cluster, redis_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("quorum")
    settings = settings_for(Server(cluster.address, "kafka", "three brokers"), redis_server, folder)
    settings = settings.model_copy(update={"replication": NODES, "start_timeout_seconds": 60.0})
    with deployment(settings, folder) as made:
        yield made


@contextmanager
def paused(cluster: Cluster, *nodes: int) -> Iterator[None]:
    """Pause brokers for the block: their connections stay open, and nothing answers."""
    pids = [pid for node in nodes if (pid := cluster.broker(node).pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def in_sync(made: Deployment) -> bool:
    """Whether every partition has all its replicas."""
    admin = KafkaAdminClient(bootstrap_servers=made.settings.brokers)
    try:
        topics: Any = admin.describe_topics(
            [*(each.name for each in made.topics.all()), "__consumer_offsets"]
        )
    finally:
        admin.close()
    return all(len(each["isr_nodes"]) == NODES for topic in topics for each in topic["partitions"])


def test_a_worker_at_rest_is_ready_only_while_kafka_has_a_quorum(cluster: Cluster, made: Deployment) -> None:
    process = made.process()
    with made.running(process):
        with paused(cluster, 2, 3):
            wait(lambda: says(process, "Kafka takes no writes: "), "the worker to notice", 40)
        wait(lambda: is_ready(process), "the worker to be ready again", 60)


def test_a_rolling_restart_writes_no_error_and_few_lines_and_every_event_counts(
    cluster: Cluster, made: Deployment
) -> None:
    process = made.process()
    with made.running(process) as page:
        before = len(process.log.read_text().splitlines())
        for node in range(1, NODES + 1):
            wait(lambda: in_sync(made), "all replicas to be in sync", 60)
            cluster.broker(node).stop()
            made.load(3)
            cluster.start()
            made.load(3)
        made.answer("ann", made.event("ann", "c1"))
        wait(lambda: accepted(page) == made.sent, "every event to be counted")
        lines = process.log.read_text().splitlines()
    assert [line for line in lines if " ERROR " in line or " CRITICAL " in line or "Traceback" in line] == []
    assert len(lines) - before <= LINES
