"""Waits at start for Kafka and Redis; what no waiting mends ends it at once, with a sentence that says why."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any

import redis
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest
from redis.backoff import NoBackoff
from redis.retry import Retry

from afresh.state.errors import AfreshError
from afresh.streams.connections import kafka_options, redis_options
from afresh.streams.settings import Settings

RETRY_SECONDS = 0.2
TRY_SECONDS = 5.0
"""Longest wait for one answer: a server that expects TLS can stay silent for ever to who brings none."""


def wait_for_kafka(settings: Settings) -> None:
    """Return once a broker takes us.

    Raises
    ------
    AfreshError
        If none has within ``settings.start_timeout_seconds``; at once if it refuses the login, or its certificate is
        not to be trusted.
    """
    # Not kafka-python: it tries a wrong password again until its time is over, and then does not say why.
    asyncio.run(_wait_for_kafka(settings))


async def _wait_for_kafka(settings: Settings) -> None:
    deadline = time.monotonic() + settings.start_timeout_seconds
    options = kafka_options(settings)
    brokers = _brokers(options.pop("bootstrap_servers"))
    patience = min(TRY_SECONDS, settings.start_timeout_seconds)
    while True:
        for host, port in brokers:
            try:
                await _ask(host, port, options | {"request_timeout_ms": int(patience * 1000)})
            except (KafkaError, OSError) as error:
                _refuse_kafka(settings, error)
                failed = error
            else:
                return
        if time.monotonic() > deadline:
            raise AfreshError(
                f"Kafka at {settings.kafka} did not answer within {settings.start_timeout_seconds:g} s "
                f"({_words(failed)}); start it, or set AFRESH_KAFKA, AFRESH_KAFKA_TLS and AFRESH_KAFKA_SASL to what "
                "it listens for"
            ) from failed
        await asyncio.sleep(RETRY_SECONDS)


async def _ask(host: str, port: int, options: dict[str, Any]) -> None:
    connection = await create_conn(host, port, **options)
    try:
        # A broker that wants a login lets anybody connect, and hangs up at the first question.
        await connection.send(MetadataRequest([]))
    finally:
        connection.close()


def _brokers(servers: list[str]) -> list[tuple[str, int]]:
    try:
        return [(host, port) for host, port, _ in collect_hosts(servers)]
    except ValueError as error:
        raise AfreshError(
            f"AFRESH_KAFKA must be host:port, comma-separated, and is {','.join(servers)!r}"
        ) from error


def _refuse_kafka(settings: Settings, error: Exception) -> None:
    """Raise for what no waiting mends."""
    match error:
        case AuthenticationFailedError() | SaslAuthenticationFailed():
            raise AfreshError(
                f"Kafka at {settings.kafka} refuses the user {settings.kafka_user!r}; check AFRESH_KAFKA_USER, "
                "AFRESH_KAFKA_PASSWORD and AFRESH_KAFKA_SASL"
            ) from error
        case UnsupportedSaslMechanismError():
            raise AfreshError(
                f"Kafka at {settings.kafka} does not take AFRESH_KAFKA_SASL={settings.kafka_sasl}; set another"
            ) from error
        case ssl.SSLCertVerificationError():
            raise AfreshError(
                _untrusted(f"Kafka at {settings.kafka}", error, "AFRESH_KAFKA_CA_FILE")
            ) from error


def wait_for_redis(settings: Settings) -> None:
    """Return once Redis takes us.

    Raises
    ------
    AfreshError
        If it has not within ``settings.start_timeout_seconds``; at once if it refuses the login, or its certificate is
        not to be trusted.
    """
    deadline = time.monotonic() + settings.start_timeout_seconds
    client = redis.Redis.from_url(
        **redis_options(settings), socket_timeout=TRY_SECONDS, retry=Retry(NoBackoff(), 0)
    )
    with client:
        while True:
            try:
                client.ping()
            except (redis.RedisError, OSError) as error:
                _refuse_redis(error)
                if time.monotonic() > deadline:
                    raise AfreshError(
                        f"Redis does not answer ({error}); start it, or set AFRESH_REDIS to where it is"
                    ) from error
                time.sleep(RETRY_SECONDS)
            else:
                return


def _refuse_redis(error: Exception) -> None:
    """Raise for what no waiting mends."""
    if isinstance(error, redis.AuthenticationError | redis.exceptions.NoPermissionError):
        raise AfreshError(
            f"Redis refuses us ({error}); check user, password and rights of the user in AFRESH_REDIS"
        ) from error
    if isinstance(error.__context__, ssl.SSLCertVerificationError):
        raise AfreshError(_untrusted("Redis", error.__context__, "AFRESH_REDIS_CA_FILE")) from error


def _untrusted(server: str, error: ssl.SSLCertVerificationError, variable: str) -> str:
    return (
        f"the certificate of {server} is not to be trusted ({error.verify_message}); set {variable} to the "
        "certificates of who signed it"
    )


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
