"""Servers that tests share; each test has a namespace of its own on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings as hypothesis_settings
from threadpoolctl import threadpool_limits

from afresh.deploy.servers import Server, genuine_kafka, local_kafka, local_redis
from afresh.deploy.servers.kafka import REPOSITORY, SHARED, Installation
from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings
from tests.marking import Marking

# A broker of a test lives for seconds: what Java's second compiler spends on it, it never earns back.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

# The same examples everywhere, and no test fails because the machine is busy.
hypothesis_settings.register_profile("afresh", deadline=None, derandomize=True)
hypothesis_settings.load_profile("afresh")


def pytest_configure(config: pytest.Config) -> None:
    """Tell unit tests from the others."""
    config.pluginmanager.register(Marking())


@pytest.fixture(scope="session", autouse=True)
def _one_thread_for_the_maths() -> Iterator[None]:
    """As a worker has it: on a busy machine the threads of small matrices wait for each other most of the time."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the variables of whoever runs the tests away from them."""
    for name in [name for name in os.environ if name.startswith("AFRESH_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def kafka_installation() -> Installation:
    """Find a genuine Kafka, or skip the test; where there must be one, fail."""
    try:
        return genuine_kafka()
    except AfreshError as error:
        reason = f"no Kafka (set KAFKA_HOME): {error}"
        if os.environ.get("CI") and (REPOSITORY / SHARED).exists():
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka(kafka_installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Genuine Kafka for all tests, none of which may stop it."""
    with local_kafka(tmp_path_factory.mktemp("kafka"), kind="kafka") as server:
        yield server


@pytest.fixture
def own_kafka(kafka_installation: Installation, tmp_path: Path) -> Iterator[Server]:
    """Genuine Kafka of one test, which may kill it and start it again."""
    with local_kafka(tmp_path / "own, with a space and an é", kind="kafka") as server:
        yield server


@pytest.fixture(scope="session")
def embedded_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The embedded broker."""
    with local_kafka(tmp_path_factory.mktemp("embedded"), kind="embedded") as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Redis or Valkey."""
    with local_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def settings(kafka: Server, redis_server: Server, tmp_path: Path) -> Settings:
    """Settings of a deployment of the test's own on the genuine Kafka."""
    return settings_for(kafka, redis_server, tmp_path)


@pytest.fixture
def embedded_settings(embedded_broker: Server, redis_server: Server, tmp_path: Path) -> Settings:
    """The same on the embedded broker."""
    return settings_for(embedded_broker, redis_server, tmp_path)


def settings_for(kafka: Server, redis: Server, folder: Path) -> Settings:
    """Settings with a namespace that nobody else has."""
    values = {
        "kafka": kafka.address,
        "redis": redis.address,
        "namespace": f"test-{uuid4().hex[:12]}",
        "partitions": 2,
        "metrics_port": 0,
        "embed_metrics_port": 0,
        "encoder": "none",
        "data_dir": folder / "data",
        "start_timeout_seconds": 20.0,
        "idempotence": not kafka.embedded,
    }
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Server]:
    """Redis of one test, which may kill it and start it again."""
    with local_redis(tmp_path / "own redis") as server:
        yield server
