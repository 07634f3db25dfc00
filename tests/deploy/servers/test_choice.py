from pathlib import Path

import pytest

from afresh.deploy.servers import Server, broker_and_redis
from afresh.deploy.servers import kafka as kafka_module
from afresh.state.errors import AfreshError


def test_servers_that_the_environment_names_are_used_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFRESH_KAFKA", "kafka-1:9092,kafka-2:9092")
    monkeypatch.setenv("AFRESH_REDIS", "redis://ann:s3cret@redis:6379/1")
    with broker_and_redis(tmp_path) as servers:
        assert servers.kafka == Server(
            "kafka-1:9092,kafka-2:9092", "given", "Kafka at kafka-1:9092,kafka-2:9092"
        )
        assert servers.redis.address == "redis://ann:s3cret@redis:6379/1"
        assert "s3cret" not in repr(servers)
        assert servers.environment() == {
            "AFRESH_KAFKA": "kafka-1:9092,kafka-2:9092",
            "AFRESH_REDIS": "redis://ann:s3cret@redis:6379/1",
        }
    assert list(tmp_path.iterdir()) == []


def test_servers_named_in_a_dotenv_file_are_used_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("AFRESH_KAFKA=kafka:1\nAFRESH_REDIS=redis://redis:1\n")
    with broker_and_redis(tmp_path / "servers") as servers:
        assert servers.kafka.address == "kafka:1"
        assert servers.redis.kind == "given"


def test_a_server_that_was_not_started_here_is_not_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFRESH_KAFKA", "kafka:9092")
    monkeypatch.setenv("AFRESH_REDIS", "redis://redis:6379")
    with broker_and_redis(tmp_path) as servers, pytest.raises(AfreshError, match="was not started here"):
        servers.kafka.kill()


@pytest.mark.servers
def test_new_servers_run_if_the_settings_name_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    monkeypatch.setattr(kafka_module, "SHARED", tmp_path / "none")
    with broker_and_redis(tmp_path) as servers:
        assert servers.kafka.embedded
        assert servers.redis.kind == "redis"
        assert servers.environment()["AFRESH_IDEMPOTENCE"] == "false"
    assert servers.kafka.process is not None
    assert servers.kafka.process.pid is None
