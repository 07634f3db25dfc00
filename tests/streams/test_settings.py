from pathlib import Path

import pytest
from pydantic import ValidationError

from afresh.streams.settings import Settings


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


def test_the_environment_overrides_settings_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("AFRESH_PARTITIONS=3\nAFRESH_LIST_SIZE=5\nOTHER=1\n", encoding="utf-8")
    monkeypatch.setenv("AFRESH_PARTITIONS", "7")
    settings = Settings()
    assert (settings.partitions, settings.list_size) == (7, 5)


def test_a_byte_order_mark_costs_no_setting() -> None:
    Path(".env").write_text("AFRESH_PARTITIONS=3\r\nAFRESH_LIST_SIZE=5", encoding="utf-8-sig")
    settings = Settings()
    assert (settings.partitions, settings.list_size) == (3, 5)


def test_defaults_suit_a_single_machine() -> None:
    settings = Settings()
    assert settings.brokers == ["127.0.0.1:9092"]
    assert settings.metrics_host == "127.0.0.1"
    assert settings.namespace == "afresh"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AFRESH_PARTITIONS", "0"),
        ("AFRESH_PARTITIONS", "many"),
        ("AFRESH_ENCODER_DEVICE", "gpu"),
        ("AFRESH_ENCODER_DTYPE", "int4"),
        ("AFRESH_TEXT_TEMPLATE", "title"),
        ("AFRESH_NAMESPACE", "a.b"),
        ("AFRESH_NAMESPACE", ""),
        ("AFRESH_KAFKA", ""),
        ("AFRESH_KAFKA", "   "),
        ("AFRESH_METRICS_PORT", "65536"),
        ("AFRESH_LOG_LEVEL", "WARNING"),
        ("AFRESH_RETENTION_DAYS", "nan"),
        ("AFRESH_RETENTION_DAYS", "inf"),
        ("AFRESH_CLOCK_AHEAD_HOURS", "inf"),
        ("AFRESH_RETENTION_DAYS", "-1"),
        ("AFRESH_SESSION_TIMEOUT_SECONDS", "1"),
        ("AFRESH_FETCH_MAX_WAIT_SECONDS", "2"),
        ("AFRESH_LIST_TTL_SECONDS", "0"),
        ("AFRESH_ENCODER", ""),
        ("AFRESH_KAFKA_SASL", "GSSAPI"),
        ("AFRESH_KAFKA_CA_FILE", "missing.pem"),
        ("AFRESH_REDIS_KEY_FILE", "missing.pem"),
        ("AFRESH_ITEM_VECTORS", '{"image": 0}'),
        ("AFRESH_ITEM_VECTORS", '{"image": "many"}'),
        ("AFRESH_ITEM_VECTORS", '["image"]'),
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


LOGIN = {"KAFKA_SASL": "PLAIN", "KAFKA_USER": "ann", "KAFKA_PASSWORD": "hunter2"}
REDIS_TLS = {"REDIS": "rediss://cache"}


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"KAFKA_USER": "ann", "KAFKA_SASL": "PLAIN"}, "go together; set AFRESH_KAFKA_PASSWORD too"),
        (LOGIN | {"KAFKA_PASSWORD": ""}, "go together; set AFRESH_KAFKA_PASSWORD too"),
        ({"KAFKA_USER": "ann"}, "set AFRESH_KAFKA_SASL and AFRESH_KAFKA_PASSWORD too"),
        (
            {"KAFKA_CA_FILE": "a.pem"},
            "AFRESH_KAFKA_CA_FILE would be ignored without TLS; set AFRESH_KAFKA_TLS=true",
        ),
        (
            {"REDIS_CA_FILE": "a.pem", "REDIS_CERTIFICATE_FILE": "a.pem"},
            "AFRESH_REDIS_CA_FILE, AFRESH_REDIS_CERTIFICATE_FILE would be ignored without TLS; set AFRESH_REDIS=rediss",
        ),
        ({"KAFKA_TLS": "true", "KAFKA_KEY_FILE": "a.pem"}, "set AFRESH_KAFKA_CERTIFICATE_FILE too"),
        (REDIS_TLS | {"REDIS_KEY_FILE": "a.pem"}, "set AFRESH_REDIS_CERTIFICATE_FILE too"),
        ({"ITEM_VECTORS": '{"text": 384}'}, "declares 'text', .* give the vectors of items another name"),
        (
            {"ITEM_VECTORS": '{"image": 8000, "sound": 193}'},
            "8,193 numbers, .* declare fewer, or raise AFRESH_TEXT_LIMIT_BYTES to 65544 or more",
        ),
    ],
)
def test_contradictory_settings_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str
) -> None:
    Path("a.pem").touch()
    for name, value in variables.items():
        monkeypatch.setenv(f"AFRESH_{name}", value)
    with pytest.raises(ValidationError, match=sentence) as raised:
        Settings()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "variables",
    [
        LOGIN,
        LOGIN | {"KAFKA_TLS": "true"},
        {"KAFKA_TLS": "true"},
        REDIS_TLS,
        {"ITEM_VECTORS": '{"image": 8000, "sound": 192}'},
    ],
)
def test_consistent_settings_are_accepted(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"AFRESH_{name}", value)
    assert "hunter2" not in repr(Settings())


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name, field in Settings.model_fields.items() if field.default is None]
    assert "kafka_ca_file" in names
    for name in names:
        monkeypatch.setenv(f"AFRESH_{name.upper()}", "")
    assert all(getattr(Settings(), name) is None for name in names)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().partitions = 9  # type: ignore[misc]


def test_every_setting_says_what_it_means() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


@pytest.mark.parametrize("url", ["redis://a:1,b:1/0", "redis://a,b:1", "a:1,b:1", "redis://a/0,redis://b/0"])
def test_several_addresses_of_redis_are_refused_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("AFRESH_REDIS", url)
    with pytest.raises(ValidationError, match="must name one Redis; several Sentinels are named by"):
        Settings()


def test_sentinels_may_speak_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.pem").touch()
    monkeypatch.setenv("AFRESH_REDIS_CA_FILE", "a.pem")
    monkeypatch.setenv("AFRESH_REDIS", "rediss+sentinel://one,two/cache")
    assert Settings().redis_tls
