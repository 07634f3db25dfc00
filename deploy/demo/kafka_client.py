"""The Kafka side of an application: sends events and items, and counts dead letters."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from afresh.deploy.clients import begins_of, ends_of, places
from afresh.deploy.demo.window import account
from afresh.state.errors import AfreshError
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.admin import asking
from afresh.streams.kafka.rights import DELETE
from afresh.streams.links import key_of_link
from afresh.streams.messages import Event, Item, Link
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

CLOSE_SECONDS = 5.0
LINGER_MS = 5
"""Time to wait for a fuller batch, in ms. Only used where nobody waits for a new list."""

_json = msgspec.json.Encoder().encode


class DemoFeed:
    """Sends to the topics of a deployment. Its keys keep a user's events in order.

    Parameters
    ----------
    settings
        Settings of the deployment.
    hurry
        Whether each record leaves at once. Otherwise it waits for a fuller batch.
    """

    def __init__(self, settings: Settings, *, hurry: bool) -> None:
        self._topics = Topics(settings)
        self._refused: Exception | None = None
        self._producer = KafkaProducer(
            **kafka_options(settings),
            acks="all",
            linger_ms=0 if hurry else LINGER_MS,
            enable_idempotence=settings.idempotence,
            # Without idempotence, a retried batch could come after the next one and swap a user's events.
            max_in_flight_requests_per_connection=5 if settings.idempotence else 1,
            metrics_enabled=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # If the broker is gone, the error of closing must not hide why the demo ended.
        with suppress(KafkaError):
            self._producer.close(timeout=CLOSE_SECONDS)

    def event(self, event: Event) -> None:
        """Send an event; return before Kafka has acknowledged it."""
        self._send(self._topics.events.name, account(event), _json(event))

    def link(self, one: str, other: str) -> None:
        """Send the link of two accounts of somebody who has logged in with both, as of now."""
        link = Link(accounts=(one, other), time=int(time.time() * 1000))
        self._send(self._topics.identities.name, key_of_link(one, other).decode(), _json(link))

    def items(self, items: Iterable[Item]) -> None:
        """Send items, and return once Kafka has acknowledged them."""
        for item in items:
            self._send(self._topics.items.name, item.id, _json(item))
        self.flush()

    def flush(self) -> None:
        """Return once Kafka has acknowledged everything sent."""
        self._producer.flush()
        self.check()

    def check(self) -> None:
        """Raise ``AfreshError`` if Kafka has refused a record."""
        if self._refused is not None:
            raise AfreshError(
                f"Kafka refused a record of the demo ({self._refused}); look at the broker's log"
            )

    def _send(self, topic: str, key: str, value: bytes) -> None:
        try:
            self._producer.send(topic, value, key.encode()).add_errback(self._refuse)
        except MessageSizeTooLargeError as error:
            # The client refuses such a record by itself; it is reported like one that Kafka refused.
            self._refuse(error)

    def _refuse(self, error: Exception) -> None:
        self._refused = error


def dead_letters(settings: Settings) -> int:
    """Count the records in the dead-letter topic from its offsets."""
    partitions = places(Topics(settings).dead_letters)
    consumer = KafkaConsumer(**kafka_options(settings))
    try:
        ends, starts = ends_of(consumer, partitions), begins_of(consumer, partitions)
    finally:
        consumer.close()
    return int(sum(ends[partition] - starts[partition] for partition in partitions))


def delete_topics(settings: Settings) -> None:
    """Delete the topics of a deployment and all their records."""
    names = [topic.name for topic in Topics(settings).all()]
    with asking(settings, topic=DELETE) as admin:
        admin.ask(lambda client: client.delete_topics(names))
