"""Sends records to Kafka, at a given speed or as fast as Kafka accepts them, and checks that each has arrived."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from afresh.state.errors import AfreshError, UnavailableError
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.admin import require_topics
from afresh.streams.kafka.patient import passes
from afresh.streams.kafka.rights import WRITE, named, needs, refusal
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic

IN_FLIGHT = 20_000
"""Most records sent and not yet acknowledged. kafka-python sets no limit of its own, and would fill the memory."""

ANSWER_SECONDS = 30.0
CLOSE_SECONDS = 5.0
CATCH_UP_SECONDS = 1.0
LONGEST_SLEEP_SECONDS = 3600.0
"""The system refuses sleeps of centuries, which a very low speed asks for."""


class FeedRecord(NamedTuple):
    """Key and value of a record, as they go to Kafka; without a value it deletes the key."""

    key: bytes | None
    value: bytes | None


@dataclass
class Fed:
    """Counts of what happened to the lines of a feed.

    Attributes
    ----------
    sent
        Records that Kafka has acknowledged.
    malformed
        Lines that do not fit the schema.
    left_out
        Lines that were not sent: outside the time range, or malformed items.
    too_large
        Records too large for Kafka; not sent.
    seconds
        Time from the first record to the last acknowledgement.
    """

    sent: int = 0
    malformed: int = 0
    left_out: int = 0
    too_large: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.sent / self.seconds if self.seconds else 0.0

    def words(self, noun: str) -> str:
        """Return the counts as one line of text.

        Examples
        --------
        >>> Fed(sent=1_000, malformed=2, seconds=0.5).words("events")
        'sent 1,000 events in 0.5 s (2,000/s); 2 malformed'
        """
        rest = {"malformed": self.malformed, "left out": self.left_out, "too large for Kafka": self.too_large}
        counts = [f"{count:,} {word}" for word, count in rest.items() if count]
        return "; ".join([f"sent {self.sent:,} {noun} in {self.seconds:.1f} s ({self.rate:,.0f}/s)", *counts])


class FeedSender:
    """Sends records to one topic; the first error of Kafka ends the feed."""

    def __init__(self, producer: KafkaProducer, topic: Topic, fed: Fed) -> None:
        self._producer = producer
        self._topic = topic.name
        self._fed = fed
        self._unanswered: deque[Any] = deque()

    def send(self, record: FeedRecord) -> None:
        """Hand over a record; wait while too many records are unacknowledged."""
        try:
            self._unanswered.append(self._producer.send(self._topic, record.value, key=record.key))
        except MessageSizeTooLargeError:
            self._fed.too_large += 1
        if len(self._unanswered) > IN_FLIGHT:
            self._settle()

    def wait_for_answers(self) -> None:
        """Wait until Kafka has answered for every record."""
        self._producer.flush()
        while self._unanswered:
            self._settle()

    def _settle(self) -> None:
        try:
            # This needs no timeout: the producer's own delivery timeout is two minutes.
            self._unanswered.popleft().get()
        except MessageSizeTooLargeError:
            self._fed.too_large += 1
        except KafkaError as error:
            if refusal(error) is not None:
                raise
            kind = UnavailableError if passes(error) else AfreshError
            raise kind(
                f"Kafka stopped accepting records of {self._topic} after {self._fed.sent:,} ({error}); "
                "send the same file again: a record sent twice counts once"
            ) from error
        else:
            self._fed.sent += 1


@contextmanager
def sender(settings: Settings, topic: Topic, fed: Fed) -> Iterator[FeedSender]:
    """Check a topic, and open a sender to it.

    Raises
    ------
    AfreshError
        If Kafka does not answer, or the topic is missing or wrong.
    """
    with producer(settings, topic) as opened:
        yield FeedSender(opened, topic, fed)


@contextmanager
def producer(settings: Settings, topic: Topic) -> Iterator[KafkaProducer]:
    """Check a topic, and open a producer for it; Kafka acknowledges each record.

    Raises
    ------
    AfreshError
        If Kafka does not answer, or the topic is missing or wrong.
    """
    require_topics(settings, [topic], needs(written=[topic]))
    opened = KafkaProducer(
        **kafka_options(settings),
        bootstrap_timeout_ms=int(settings.start_timeout_seconds * 1000),
        allow_auto_create_topics=False,
        acks="all",
        enable_idempotence=settings.idempotence,
        # Without idempotence, a retried batch could come after the batch behind it and break the order.
        max_in_flight_requests_per_connection=5 if settings.idempotence else 1,
        linger_ms=5,
        batch_size=65_536,
    )
    try:
        yield opened
    except KafkaError as error:
        if (refused := refusal(error, topic=WRITE)) is not None:
            raise named(settings, refused) from error
        raise
    finally:
        opened.close(timeout=CLOSE_SECONDS)


def paced(
    records: Iterable[FeedRecord],
    speed: float | None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[FeedRecord]:
    """Pass records on at ``speed`` a second; None for no limit.

    After a delay the next records come faster, to catch up. At most one second is caught up.
    """
    due = clock()
    for record in records:
        yield record
        if speed is not None:
            due = max(due + 1.0 / speed, clock() - CATCH_UP_SECONDS)
            # The clock is read once a turn: between two readings, the rest could become negative.
            while (rest := due - clock()) > 0:
                sleep(min(rest, LONGEST_SLEEP_SECONDS))


def command(
    settings: Settings, topic: Topic, partition: int, key: bytes, value: bytes | None, look_at: str
) -> None:
    """Send a record that tells running processes what to do.

    Parameters
    ----------
    settings
        Settings of the deployment.
    topic, partition
        Where the record goes.
    key, value
        The record.
    look_at
        The command that shows whether it has arrived.

    Raises
    ------
    AfreshError
        If Kafka does not accept the record.
    """
    with producer(settings, topic) as opened:
        try:
            sent = opened.send(topic.name, value, key=key, partition=partition)
            sent.get(timeout=ANSWER_SECONDS)
        except KafkaError as error:
            if refusal(error) is not None:
                raise
            raise AfreshError(
                f"Kafka did not accept the command ({error}); look at {look_at} before you try again"
            ) from error
