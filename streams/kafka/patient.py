"""Asks Kafka as an administrator, again and again until it answers.

kafka-python asks one broker, once. While one of several is down, or leadership moves, the next one may answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from kafka import KafkaAdminClient
from kafka.errors import KafkaError, UnknownBrokerIdError

from afresh.streams.connections import kafka_options
from afresh.streams.settings import Settings

T = TypeVar("T")

ANSWER_SECONDS = 5.0
"""Longest wait for one answer: a broker that hangs must not use up the time in which another would answer."""

RETRY_SECONDS = 0.2


class PatientAdmin:
    """A client for questions to Kafka; it connects when it is first asked.

    Parameters
    ----------
    settings
        Settings of the deployment.
    patience_seconds
        How long a question is asked again; by default the start timeout of the settings, and with 0 it is asked once.
    """

    def __init__(self, settings: Settings, patience_seconds: float | None = None) -> None:
        self._settings = settings
        self._patience_seconds = (
            settings.start_timeout_seconds if patience_seconds is None else patience_seconds
        )
        self._client: KafkaAdminClient | None = None

    def __enter__(self) -> PatientAdmin:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def ask(self, question: Callable[[KafkaAdminClient], T]) -> T:
        """Ask until Kafka answers.

        Raises
        ------
        KafkaError
            If it does not answer in time, or refuses.
        """
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                return self.ask_once(question)
            except KafkaError as error:
                if not passes(error) or time.monotonic() > deadline:
                    raise
            time.sleep(RETRY_SECONDS)

    def ask_once(self, question: Callable[[KafkaAdminClient], T]) -> T:
        """Ask a question that may stay without an answer.

        Raises
        ------
        KafkaError
            If Kafka does not answer, or refuses.
        """
        try:
            return question(self._connected())
        except Exception:
            # A new client has other connections, and forgets which coordinators it knew: one may have moved.
            self.close()
            raise

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> KafkaAdminClient:
        if self._client is None:
            wait = int(ANSWER_SECONDS * 1000)
            self._client = KafkaAdminClient(
                **kafka_options(self._settings), request_timeout_ms=wait, bootstrap_timeout_ms=wait
            )
        return self._client


def passes(error: KafkaError) -> bool:
    """Whether an error may pass by itself, so that asking again can help."""
    # A client does not know a broker that has just died, or has not heard yet of one that was just started.
    return bool(error.retriable) or isinstance(error, UnknownBrokerIdError)
