"""Connection options of all Kafka and Redis clients, made from the settings in one place.

aiokafka and kafka-python use the same names for these arguments, so both get the same options.
"""

from __future__ import annotations

import ssl
from typing import Any, NoReturn

from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings, TlsFiles


def kafka_options(settings: Settings) -> dict[str, Any]:
    """Make the arguments of a Kafka client: brokers, TLS and login.

    Raises
    ------
    AfreshError
        When a TLS file cannot be used.

    Examples
    --------
    >>> kafka_options(Settings(_env_file=None, kafka="a:9092,b:9092"))
    {'bootstrap_servers': ['a:9092', 'b:9092'], 'security_protocol': 'PLAINTEXT'}
    """
    protocol = "SSL" if settings.kafka_tls else "PLAINTEXT"
    options: dict[str, Any] = {
        "bootstrap_servers": settings.brokers,
        "security_protocol": f"SASL_{protocol}" if settings.kafka_sasl else protocol,
    }
    if settings.kafka_tls:
        options["ssl_context"] = _tls(settings.kafka_files, "AFRESH_KAFKA")
    if settings.kafka_sasl and settings.kafka_password:
        options |= {
            "sasl_mechanism": settings.kafka_sasl,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    return options


def redis_options(settings: Settings) -> dict[str, Any]:
    """Make the arguments of a client of Redis: the URL, which may contain a login, and the TLS files.

    ``streams.redis_url`` makes clients of them.

    Raises
    ------
    AfreshError
        When a TLS file cannot be used.

    Examples
    --------
    >>> redis_options(Settings(_env_file=None, redis="redis://cache:6379/0"))
    {'url': 'redis://cache:6379/0'}
    """
    options: dict[str, Any] = {"url": settings.redis.get_secret_value()}
    if settings.redis_tls:
        files = settings.redis_files
        # Checked here: the client reads the files at each connection, and its errors say less about what is wrong.
        _tls(files, "AFRESH_REDIS")
        options |= {"ssl_ca_certs": files.ca, "ssl_certfile": files.certificate, "ssl_keyfile": files.key}
    return options


def warnings(settings: Settings) -> list[str]:
    """Return a warning for each setting that is allowed but dangerous."""
    if settings.kafka_sasl == "PLAIN" and not settings.kafka_tls:
        return [
            "AFRESH_KAFKA_SASL=PLAIN sends the password in the clear; set AFRESH_KAFKA_TLS=true, or use SCRAM"
        ]
    return []


def _tls(files: TlsFiles, prefix: str) -> ssl.SSLContext:
    def encrypted() -> NoReturn:
        # Without this callback, OpenSSL would ask for the password on the terminal, and wait.
        raise AfreshError(
            f"{prefix}_KEY_FILE: the key in {files.key or files.certificate} is encrypted; decrypt it"
        )

    try:
        context = ssl.create_default_context(cafile=files.ca)
    except (ssl.SSLError, OSError) as error:
        raise AfreshError(
            f"{prefix}_CA_FILE: {files.ca} cannot be used ({error.strerror or error}); it must contain "
            "certificates in PEM format"
        ) from error
    if files.certificate:
        try:
            context.load_cert_chain(files.certificate, files.key, encrypted)
        except (ssl.SSLError, OSError) as error:
            raise AfreshError(
                f"{prefix}_CERTIFICATE_FILE: {files.certificate} cannot be used ({error.strerror or error}); "
                f"it and {prefix}_KEY_FILE must contain a certificate and its key in PEM format"
            ) from error
    return context
