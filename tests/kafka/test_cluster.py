"""With three brokers, one of them may be down: every process starts, and every tool answers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from afresh.deploy.demo.workers import COMMAND, environment, variables
from afresh.deploy.servers import Server
from afresh.state.errors import AfreshError
from afresh.streams.kafka.admin import check_topics, claim_expiry
from afresh.streams.kafka.patient import PatientAdmin
from tests.conftest import settings_for
from tests.kafka.cluster import NODES, Cluster, coordinator
from tests.kafka.deployment import Deployment, deployment, told_to_stop, wait

STARTS = 20

BEGIN_SECONDS = 3.0
"""Time for a command to have begun; if it has not, it meets the fault a little earlier in its course."""


@pytest.fixture
def made(cluster: Cluster, redis_server: Server, tmp_path: Path) -> Iterator[Deployment]:
    server = Server(cluster.address, "kafka", "three brokers")
    values = {"replication": NODES, "list_refresh_seconds": 2.0, "start_timeout_seconds": 60.0}
    settings = settings_for(server, redis_server, tmp_path).model_copy(update=values)
    with deployment(settings, tmp_path) as made:
        yield made


def test_every_start_succeeds_while_one_of_three_brokers_is_down(cluster: Cluster, made: Deployment) -> None:
    failed = []
    process = made.process()
    with cluster.without(1):
        for number in range(STARTS):
            try:
                assert check_topics(made.settings) == []
                assert claim_expiry(made.settings) is not None
            except AfreshError as error:
                failed.append((number, str(error)))
        assert failed == []
        with made.running(process):
            made.answer("ann", made.event("ann", "c1"))
            assert told_to_stop(process) == 0


def test_tools_answer_although_the_coordinator_of_the_group_dies(cluster: Cluster, made: Deployment) -> None:
    with PatientAdmin(made.settings) as admin:
        node = coordinator(admin, made.settings.namespace)
    running = [tool(made, "ledger", "--wait", "90")]
    time.sleep(BEGIN_SECONDS)
    with cluster.without(node):
        running.append(tool(made, "status"))
        outputs = [each.communicate(timeout=180) for each in running]
    assert [each.returncode for each in running] == [0, 0], outputs


def tool(made: Deployment, *command: str) -> subprocess.Popen[str]:
    """Start a command of ours."""
    with environment(variables(made.settings)):
        return subprocess.Popen(
            [*COMMAND, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


def test_check_names_settings_under_which_a_cluster_loses_records(made: Deployment) -> None:
    users = made.topics.users.name
    process = tool(made, "topics", "check")
    assert process.communicate(timeout=60)[0] == f"all {len(made.topics.all())} topics are right\n"
    unsafe = {
        "min.insync.replicas": "1",
        "unclean.leader.election.enable": "true",
        "max.message.bytes": "100000",
    }
    admin = KafkaAdminClient(bootstrap_servers=made.settings.brokers)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, users, configs=unsafe)])
    admin.close()

    def named() -> bool:
        process = tool(made, "topics", "check")
        output = process.communicate(timeout=60)[0]
        return process.returncode == 1 and all(
            f"{users} has {name} {unsafe[name]}" in output for name in unsafe
        )

    wait(named, "every setting to be named", 30.0)
