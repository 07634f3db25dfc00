from pathlib import Path

import pytest
from pydantic import ValidationError

from streams.settings import Settings


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFRESH_KAFKA", " a:9092, b:9093,")
    monkeypatch.setenv("AFRESH_PARTITIONS", "7")
    monkeypatch.setenv("AFRESH_IDEMPOTENCE", "false")
    settings = Settings()
    assert settings.brokers == ["a:9092", "b:9093"]
    assert (settings.partitions, settings.idempotence) == (7, False)


def test_settings_come_from_a_file_and_the_environment_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("AFRESH_PARTITIONS=3\nAFRESH_LIST_SIZE=5\nOTHER=1\n", encoding="utf-8")
    monkeypatch.setenv("AFRESH_PARTITIONS", "7")
    settings = Settings()
    assert (settings.partitions, settings.list_size) == (7, 5)


def test_defaults_are_those_of_one_machine() -> None:
    settings = Settings()
    assert settings.brokers == ["127.0.0.1:9092"]
    assert settings.metrics_host == "127.0.0.1"
    assert settings.namespace == "afresh"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AFRESH_PARTITIONS", "0"),
        ("AFRESH_PARTITIONS", "many"),
        ("AFRESH_NAMESPACE", "a.b"),
        ("AFRESH_NAMESPACE", ""),
        ("AFRESH_KAFKA", ""),
        ("AFRESH_KAFKA", "   "),
        ("AFRESH_METRICS_PORT", "65536"),
        ("AFRESH_LOG_LEVEL", "WARNING"),
        ("AFRESH_RETENTION_DAYS", "nan"),
        ("AFRESH_RETENTION_DAYS", "-1"),
        ("AFRESH_SESSION_TIMEOUT_SECONDS", "1"),
        ("AFRESH_FETCH_MAX_WAIT_SECONDS", "2"),
        ("AFRESH_LIST_TTL_SECONDS", "0"),
        ("AFRESH_ENCODER", ""),
    ],
)
def test_a_bad_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError, match=variable.removeprefix("AFRESH_").lower()):
        Settings()


def test_the_password_of_redis_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFRESH_REDIS", "redis://:hunter2@cache:6379/0")
    settings = Settings()
    assert "hunter2" not in repr(settings)
    assert settings.redis.get_secret_value() == "redis://:hunter2@cache:6379/0"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().partitions = 9  # type: ignore[misc]


def test_every_setting_says_what_it_means() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
