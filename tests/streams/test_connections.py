import inspect
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from redis import Redis

from afresh.state.errors import AfreshError
from afresh.streams.connections import kafka_options, redis_options, warnings
from afresh.streams.kafka.app import create_app
from afresh.streams.settings import Settings
from tests.certificates import Authority

LOGIN: dict[str, Any] = {"kafka_sasl": "SCRAM-SHA-256", "kafka_user": "ann", "kafka_password": "hunter2"}


def settings_of(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


@pytest.mark.parametrize(
    ("values", "protocol"),
    [
        ({}, "PLAINTEXT"),
        ({"kafka_tls": True}, "SSL"),
        (LOGIN, "SASL_PLAINTEXT"),
        (LOGIN | {"kafka_tls": True}, "SASL_SSL"),
    ],
)
def test_faust_connects_as_every_other_client_does(
    tmp_path: Path, values: dict[str, Any], protocol: str
) -> None:
    settings = settings_of(**values, data_dir=tmp_path)
    options = kafka_options(settings)
    assert options.pop("bootstrap_servers") == ["127.0.0.1:9092"]
    assert options["security_protocol"] == protocol
    faust = dict(credentials_to_aiokafka_auth(create_app(settings, "test").conf.broker_credentials))
    contexts = [each.pop("ssl_context", None) for each in (options, faust)]
    assert [isinstance(context, ssl.SSLContext) for context in contexts] == [settings.kafka_tls] * 2
    assert faust == options


def test_every_client_accepts_every_option() -> None:
    options = set(kafka_options(settings_of(**LOGIN, kafka_tls=True)))
    for client in (AIOKafkaConsumer, AIOKafkaProducer):
        assert options <= set(inspect.signature(client).parameters)
    for client in (KafkaAdminClient, KafkaConsumer, KafkaProducer):
        assert options <= set(client.DEFAULT_CONFIG)


def test_a_server_must_show_a_certificate_for_its_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = kafka_options(
        settings_of(
            kafka_tls=True, kafka_ca_file=authority.file, kafka_certificate_file=authority.issue("client")
        )
    )
    context = options["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert [
        dict(names[0])["commonName"] for each in context.get_ca_certs() for names in [each["subject"]]
    ] == ["authority"]


def test_redis_gets_its_files_and_its_login(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.issue("client")
    settings = settings_of(
        redis="rediss://ann:pass%40word@cache:6380/2",
        redis_ca_file=authority.file,
        redis_certificate_file=own,
    )
    arguments = Redis.from_url(**redis_options(settings)).connection_pool.connection_kwargs
    assert (arguments["username"], arguments["password"], arguments["db"]) == ("ann", "pass@word", 2)
    assert (arguments["ssl_ca_certs"], arguments["ssl_certfile"]) == (authority.file, own)


@pytest.mark.parametrize("server", ["kafka", "redis"])
def test_files_that_hold_no_certificates_are_named(tmp_path: Path, server: str) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    make = {"kafka": kafka_options, "redis": redis_options}[server]
    for kind in ("ca", "certificate"):
        values = {"kafka_tls": True, "redis": "rediss://cache", f"{server}_{kind}_file": broken}
        sentence = rf"AFRESH_{server.upper()}_{kind.upper()}_FILE: {broken} cannot be used .*in PEM format"
        with pytest.raises(AfreshError, match=sentence):
            make(settings_of(**values))


def test_a_key_that_is_encrypted_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    own = Authority(tmp_path).issue("client", b"hunter2")
    with pytest.raises(AfreshError, match=f"AFRESH_KAFKA_KEY_FILE: the key in {own} is encrypted"):
        kafka_options(settings_of(kafka_tls=True, kafka_certificate_file=own))


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    settings = settings_of(
        kafka_tls=True,
        kafka_certificate_file=authority.issue("client"),
        kafka_key_file=authority.issue("other"),
    )
    with pytest.raises(AfreshError, match="AFRESH_KAFKA_CERTIFICATE_FILE"):
        kafka_options(settings)


def test_there_is_a_warning_if_the_password_is_sent_in_the_clear() -> None:
    plain = LOGIN | {"kafka_sasl": "PLAIN"}
    (warning,) = warnings(settings_of(**plain))
    assert "AFRESH_KAFKA_SASL=PLAIN sends the password in the clear" in warning
    assert "hunter2" not in warning
    for values in (LOGIN, plain | {"kafka_tls": True}, {}):
        assert warnings(settings_of(**values)) == []
