"""Waits for Kafka and Redis at start; an error that waiting cannot mend is raised at once, with the reason."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any

import redis
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError, UnsupportedSaslMechanismError
from aiokafka.protocol.metadata import MetadataRequest
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, ResponseError
from redis.retry import Retry

from afresh.state.errors import AfreshError, UnavailableError
from afresh.state.lists import check_rights
from afresh.streams import redis_url
from afresh.streams.connections import kafka_options, redis_options
from afresh.streams.kafka.rights import named, refusal
from afresh.streams.serving.push import reason
from afresh.streams.settings import Settings

RETRY_SECONDS = 0.2
TRY_SECONDS = 5.0
"""Longest wait for one answer: a server that expects TLS may never answer a client without TLS."""


def wait_for_kafka(settings: Settings) -> None:
    """Wait until a broker accepts us.

    Raises
    ------
    UnavailableError
        If no broker does so within ``settings.start_timeout_seconds``.
    AfreshError
        At once, if the login is refused or the certificate cannot be trusted.
    """
    # Not with kafka-python: it retries a wrong password until its timeout, and then does not report the reason.
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
            raise UnavailableError(
                f"Kafka at {settings.kafka} did not answer within {settings.start_timeout_seconds:g} s "
                f"({_words(failed)}); start it, or correct AFRESH_KAFKA, AFRESH_KAFKA_TLS and AFRESH_KAFKA_SASL"
            ) from failed
        await asyncio.sleep(RETRY_SECONDS)


async def _ask(host: str, port: int, options: dict[str, Any]) -> None:
    connection = await create_conn(host, port, **options)
    try:
        # A request is needed: a broker that wants a login lets anybody connect, and hangs up at the first request.
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
    """Raise an AfreshError if waiting cannot mend the error."""
    if (refused := refusal(error)) is not None:
        raise named(settings, refused) from error
    match error:
        case UnsupportedSaslMechanismError():
            raise AfreshError(
                f"Kafka at {settings.kafka} does not support AFRESH_KAFKA_SASL={settings.kafka_sasl}; set another"
            ) from error
        case ssl.SSLCertVerificationError():
            raise AfreshError(
                _untrusted(f"Kafka at {settings.kafka}", error, "AFRESH_KAFKA_CA_FILE")
            ) from error


def wait_for_redis(settings: Settings) -> None:
    """Wait until a Redis that is no replica accepts us.

    Raises
    ------
    AfreshError
        If Redis does not do so within ``settings.start_timeout_seconds``. It is raised at once if the login is refused,
        if our user lacks a right, if the certificate cannot be trusted, and if the server is a Sentinel or a node of
        Redis Cluster.
    """
    deadline = time.monotonic() + settings.start_timeout_seconds
    while True:
        try:
            _ask_redis(settings)
        except (redis.RedisError, OSError) as error:
            _refuse_redis(error)
            if time.monotonic() > deadline:
                if isinstance(error, redis.ReadOnlyError):
                    raise AfreshError(
                        "the Redis named by AFRESH_REDIS is a replica, which takes no lists; name its master, or "
                        "Sentinels that know it (redis+sentinel://HOST:PORT/SERVICE/0)"
                    ) from error
                raise UnavailableError(
                    f"Redis does not answer ({reason(error)}); start it, or set AFRESH_REDIS to its address"
                ) from error
            time.sleep(RETRY_SECONDS)
        else:
            return


def _ask_redis(settings: Settings) -> None:
    # A new client each time, so that the address is looked up anew.
    options = redis_options(settings) | {"socket_timeout": TRY_SECONDS, "retry": Retry(NoBackoff(), 0)}
    with redis_url.client(**options) as client:
        # Sentinels and nodes of Redis Cluster would refuse any other database before they say what they are.
        client.connection_pool.connection_kwargs["db"] = 0
        _check_role(client)
    with redis_url.client(**options) as client:
        client.ping()
        check_rights(client, settings.namespace)


def _check_role(client: redis.Redis) -> None:
    """Refuse a server that lists cannot be written to, now or ever."""
    try:
        # HELLO, because every user may say it.
        answer: Any = client.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except ResponseError:
        # Before Redis 6, and in some proxies.
        return
    if isinstance(answer, list):
        answer = dict(zip(answer[::2], answer[1::2], strict=True))
    said = {_text(name): _text(value) for name, value in answer.items()}
    if said.get("mode") == "sentinel":
        raise AfreshError(
            "the server named by AFRESH_REDIS is a Sentinel; set AFRESH_REDIS=redis+sentinel://HOST:PORT/SERVICE/0"
        )
    if said.get("mode") == "cluster":
        raise AfreshError(
            "the server named by AFRESH_REDIS is a node of Redis Cluster, which is not supported; set AFRESH_REDIS to "
            "a Redis without cluster mode"
        )
    if said.get("role") in ("replica", "slave"):
        # A failover may make it the master, or lead the name to another server.
        raise redis.ReadOnlyError("it is a replica")


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _refuse_redis(error: Exception) -> None:
    """Raise an AfreshError if waiting cannot mend the error."""
    if isinstance(error, redis.AuthenticationError | NoPermissionError):
        raise AfreshError(
            f"Redis refuses us ({reason(error)}); check the user and password in AFRESH_REDIS, and the rights of the "
            "user"
        ) from error
    if isinstance(error, ResponseError) and "unknown command" in str(error):
        raise AfreshError(
            f"the server named by AFRESH_REDIS does not know what we need ({reason(error)}); redis+sentinel:// must "
            "name Sentinels, and redis:// a Redis"
        ) from error
    if isinstance(error.__context__, ssl.SSLCertVerificationError):
        raise AfreshError(_untrusted("Redis", error.__context__, "AFRESH_REDIS_CA_FILE")) from error


def _untrusted(server: str, error: ssl.SSLCertVerificationError, variable: str) -> str:
    return (
        f"the certificate of {server} is not to be trusted ({error.verify_message}); set {variable} to the "
        "certificates of its issuer"
    )


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
