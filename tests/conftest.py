"""Servers that tests share. Each test has its own namespace on them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings as hypothesis_settings
from threadpoolctl import threadpool_limits

from afresh.deploy.servers import Server, genuine_kafka, local_kafka, local_redis
from afresh.deploy.servers.kafka import REPOSITORY, SHARED, Installation
from afresh.deploy.servers.prometheus import require_prometheus
from afresh.models.compiled import FOLDER
from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings
from tests.marking import Marking

# A test's broker lives for seconds only: Java's second compiler would cost more time than it saves.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

# A test may move the caches of the user. Without the machine code in them, a process compiles for a minute.
os.environ.setdefault("NUMBA_CACHE_DIR", str(FOLDER.parent))

# Hypothesis uses the same examples everywhere. Without a deadline, no test fails because the machine is busy.
hypothesis_settings.register_profile("afresh", deadline=None, derandomize=True)
hypothesis_settings.load_profile("afresh")


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin that separates unit tests from the others."""
    config.pluginmanager.register(Marking())


@pytest.fixture(scope="session", autouse=True)
def _one_thread_for_the_maths() -> Iterator[None]:
    """Use one thread, as a worker does: on a busy machine, threads for small matrices mostly wait for each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the variables of the person who runs the tests."""
    for name in [name for name in os.environ if name.startswith("AFRESH_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Capture what a test logs, and nothing of threads that tests before it left behind."""
    # The threads, not their numbers: a thread that ends leaves its number to the next one.
    left = {*threading.enumerate()} - {threading.current_thread()}

    def of_this_test(record: logging.LogRecord) -> bool:
        return threading.current_thread() not in left

    caplog.handler.addFilter(of_this_test)
    yield caplog
    caplog.handler.removeFilter(of_this_test)


@pytest.fixture(scope="session")
def kafka_installation() -> Installation:
    """Find a genuine Kafka, or skip the test; in CI, fail if ``../shared/kafka`` is there but cannot run."""
    try:
        return genuine_kafka()
    except AfreshError as error:
        reason = f"no Kafka (set KAFKA_HOME): {error}"
        if os.environ.get("CI") and (REPOSITORY / SHARED).exists():
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def prometheus() -> str:
    """Find Prometheus, or skip the test; in CI, which installs it, fail."""
    try:
        return require_prometheus()
    except AfreshError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def kafka(kafka_installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a genuine Kafka for all tests; no test may stop it."""
    # Kafka looks for something to compact every 15 s; tests that wait for it would wait as long.
    eager = {"log.cleaner.backoff.ms": "500"}
    with local_kafka(tmp_path_factory.mktemp("kafka"), kind="kafka", properties=eager) as server:
        yield server


@pytest.fixture
def own_kafka(kafka_installation: Installation, tmp_path: Path) -> Iterator[Server]:
    """Run a genuine Kafka for one test, which may kill and restart it."""
    with local_kafka(tmp_path / "own, with a space and an é", kind="kafka") as server:
        yield server


@pytest.fixture(scope="session")
def embedded_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the embedded broker for all tests."""
    with local_kafka(tmp_path_factory.mktemp("embedded"), kind="embedded") as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run Redis or Valkey for all tests."""
    with local_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def settings(kafka: Server, redis_server: Server, tmp_path: Path) -> Settings:
    """Return the settings of the test's own deployment on the genuine Kafka."""
    return settings_for(kafka, redis_server, tmp_path)


@pytest.fixture
def embedded_settings(embedded_broker: Server, redis_server: Server, tmp_path: Path) -> Settings:
    """Return the settings of the test's own deployment on the embedded broker."""
    return settings_for(embedded_broker, redis_server, tmp_path)


def settings_for(kafka: Server, redis: Server, folder: Path) -> Settings:
    """Return settings with a namespace that nobody else has."""
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
    """Run Redis or Valkey for one test, which may kill and restart it."""
    with local_redis(tmp_path / "own redis") as server:
        yield server
