from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afresh.deploy.demo.deployment import Deployment, demo_settings
from afresh.deploy.demo.workers import WorkerProcess, environment, variables
from afresh.deploy.monitoring.scraping import EMBED_WORKER, MODEL_WORKER, WORKER
from afresh.deploy.servers import Server, Servers
from afresh.deploy.servers.process import ServerProcess
from afresh.deploy.servers.server import Kind
from afresh.streams.settings import Settings

REDIS_URL = "redis://:s3cret@127.0.0.1:7777/3"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the variables and the ``.env`` of the person who runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"AFRESH_{name.upper()}", raising=False)


def servers(kind: Kind) -> Servers:
    redis: Kind = "given" if kind == "given" else "redis"
    return Servers(Server("127.0.0.1:7001", kind, "a broker"), Server(REDIS_URL, redis, "a Redis"))


def test_a_demo_uses_the_given_servers_and_free_ports(tmp_path: Path) -> None:
    settings = demo_settings(servers("kafka"), tmp_path)
    assert (settings.kafka, settings.redis.get_secret_value()) == ("127.0.0.1:7001", REDIS_URL)
    assert len({settings.metrics_port, settings.embed_metrics_port, settings.model_metrics_port}) == 3
    assert settings.data_dir.is_relative_to(tmp_path)
    assert (settings.namespace, settings.idempotence, settings.partitions) == ("afresh", True, 4)


def test_the_embedded_broker_gets_one_partition_and_no_idempotence(tmp_path: Path) -> None:
    settings = demo_settings(servers("embedded"), tmp_path)
    assert (settings.partitions, settings.idempotence) == (1, False)


def test_a_demo_keeps_what_the_environment_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFRESH_PARTITIONS", "3")
    monkeypatch.setenv("AFRESH_METRICS_PORT", "7002")
    monkeypatch.setenv("AFRESH_ENCODER", "none")
    settings = demo_settings(servers("embedded"), tmp_path)
    assert (settings.partitions, settings.metrics_port, settings.encoder) == (3, 7002, "none")


def test_each_demo_on_given_servers_has_its_own_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFRESH_NAMESPACE", "production")
    names = {demo_settings(servers("given"), tmp_path).namespace for _ in range(2)}
    assert len(names) == 2
    assert "production" not in names


def test_a_worker_reads_the_same_settings_from_its_variables(tmp_path: Path) -> None:
    settings = demo_settings(servers("embedded"), tmp_path)
    with environment(variables(settings)):
        assert Settings() == settings
    assert Settings() != settings


def test_each_process_of_a_demo_is_a_job_of_its_own_in_prometheus(tmp_path: Path) -> None:
    names = ("afresh worker", "afresh model-worker", "afresh embed-worker")
    made = [
        WorkerProcess(ServerProcess(name, [], port=port, folder=tmp_path)) for port, name in enumerate(names)
    ]
    given: Any = None
    assert Deployment(given, given, made, given).ports == {WORKER: 0, MODEL_WORKER: 1, EMBED_WORKER: 2}
