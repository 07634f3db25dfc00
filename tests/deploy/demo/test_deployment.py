from __future__ import annotations

from pathlib import Path

import pytest

from afresh.deploy.demo.deployment import demo_settings
from afresh.deploy.demo.workers import environment, variables
from afresh.deploy.servers import Server, Servers
from afresh.deploy.servers.server import Kind
from afresh.streams.settings import Settings

REDIS_URL = "redis://:s3cret@127.0.0.1:7777/3"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither variables nor a ``.env`` of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"AFRESH_{name.upper()}", raising=False)


def servers(kind: Kind) -> Servers:
    redis: Kind = "given" if kind == "given" else "redis"
    return Servers(Server("127.0.0.1:7001", kind, "a broker"), Server(REDIS_URL, redis, "a Redis"))


def test_a_demo_takes_the_servers_and_free_ports(tmp_path: Path) -> None:
    settings = demo_settings(servers("kafka"), tmp_path)
    assert (settings.kafka, settings.redis.get_secret_value()) == ("127.0.0.1:7001", REDIS_URL)
    assert settings.metrics_port != settings.embed_metrics_port
    assert settings.data_dir.is_relative_to(tmp_path)
    assert (settings.namespace, settings.idempotence, settings.partitions) == ("afresh", True, 4)


def test_the_embedded_broker_gets_one_partition_and_no_idempotence(tmp_path: Path) -> None:
    settings = demo_settings(servers("embedded"), tmp_path)
    assert (settings.partitions, settings.idempotence) == (1, False)


def test_what_the_person_sets_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFRESH_PARTITIONS", "3")
    monkeypatch.setenv("AFRESH_METRICS_PORT", "7002")
    monkeypatch.setenv("AFRESH_ENCODER", "none")
    settings = demo_settings(servers("embedded"), tmp_path)
    assert (settings.partitions, settings.metrics_port, settings.encoder) == (3, 7002, "none")


def test_on_servers_of_others_each_demo_has_names_of_its_own(
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
