"""Servers that require TLS and a login, and settings that provide them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afresh.deploy.servers import Server, local_kafka, local_redis
from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings
from tests.certificates import Authority
from tests.conftest import settings_for

USER = "ann"
PASSWORD = "kafka-hunter2-%40"
REDIS_USER = "bob"
REDIS_PASSWORD = "redis-hunter3"

MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}

COMMANDS = "+ping +script|load +evalsha +get +set"
"""Redis commands that a worker and an application need."""


@dataclass(frozen=True)
class Secured:
    """Two secured servers, and the authority that signed their certificates."""

    kafka: Server
    redis: Server
    authority: Authority

    def settings(self, folder: Path, **changes: Any) -> Settings:
        """Return the settings of the test's own deployment."""
        plain = settings_for(self.kafka, self.redis, folder)
        values = {name: getattr(plain, name) for name in plain.model_fields_set}
        values |= {
            "redis": self.redis_url(),
            "kafka_tls": True,
            "kafka_ca_file": self.authority.file,
            "kafka_certificate_file": self.authority.issue("client"),
            "kafka_sasl": "SCRAM-SHA-512",
            "kafka_user": USER,
            "kafka_password": PASSWORD,
            "redis_ca_file": self.authority.file,
            "redis_certificate_file": self.authority.issue("client"),
        }
        return Settings(_env_file=None, **(values | changes))

    def redis_url(self, user: str = REDIS_USER, password: str = REDIS_PASSWORD) -> str:
        """Return the URL of Redis with a login."""
        return self.redis.address.replace("://", f"://{user}:{password}@")


@contextmanager
def secured_kafka(
    folder: Path, authority: Authority, *, tls: bool = True, others: Sequence[str] = ()
) -> Iterator[Server]:
    """Run a genuine Kafka that requires a login; with ``tls`` also TLS and a certificate of the client.

    With ``others``, users who log in by PLAIN and have the same password, it checks rights; ``USER`` has all of them.
    """
    properties = {
        "listener.security.protocol.map": f"CLIENT:SASL_{'SSL' if tls else 'PLAINTEXT'},CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": ",".join(MODULES),
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
    }
    if others:
        properties |= {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # ANONYMOUS is the controller, whose listener asks for no login.
            "super.users": f"User:{USER};User:ANONYMOUS",
        }
    for mechanism, module in MODULES.items():
        plain = [USER, *others] if mechanism == "PLAIN" else []
        known = "".join(f' user_{name}="{PASSWORD}"' for name in plain)
        properties[f"listener.name.client.{mechanism.lower()}.sasl.jaas.config"] = (
            f'{module} required username="{USER}" password="{PASSWORD}"{known};'
        )
    if tls:
        properties |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(authority.issue("kafka")),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.file),
            "listener.name.client.ssl.client.auth": "required",
        }
    users = [
        f"{mechanism}=[name={USER},password={PASSWORD}]" for mechanism in MODULES if mechanism != "PLAIN"
    ]
    with local_kafka(folder, kind="kafka", properties=properties, users=users) as server:
        yield server


@contextmanager
def secured_redis(folder: Path, authority: Authority, namespace: str = "*") -> Iterator[Server]:
    """Run a Redis that requires TLS, a certificate of the client and a login; skip the test if no Redis has TLS."""
    certificate = str(authority.issue("redis"))
    arguments = ["--tls-cert-file", certificate, "--tls-key-file", certificate]
    arguments += ["--tls-ca-cert-file", str(authority.file), "--tls-auth-clients", "yes"]
    arguments += ["--user", REDIS_USER, "on", f">{REDIS_PASSWORD}", f"~{namespace}", *COMMANDS.split()]
    arguments += ["--user", "default", "off"]
    try:
        with local_redis(folder, tls=True, arguments=arguments) as server:
            yield server
    except AfreshError as error:
        if "tls" not in str(error).lower():
            raise
        pytest.skip(f"no Redis that speaks TLS (install redis-server): {error}")
