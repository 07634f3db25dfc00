"""Waits until the backlog is done and nothing changes any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from kafka import KafkaConsumer
from redis import Redis

from afresh.deploy.clients import Offsets, ends_of, places, uncommitted
from afresh.deploy.ledger.report import Report
from afresh.deploy.ledger.served import read_ages
from afresh.streams.connections import kafka_options
from afresh.streams.encoders import embed_group
from afresh.streams.kafka.patient import PatientAdmin
from afresh.streams.settings import NO_ENCODER, Settings
from afresh.streams.stages import STAGES
from afresh.streams.topics import Topics

POLL_SECONDS = 0.5

SPARE_SECONDS = 2.0
"""Margin beyond the age at which lists are refreshed. If nothing changes for that long, nothing is left to do."""

Look = Callable[[], tuple[int, Hashable]]
"""Function that returns how many records wait, and a value that differs whenever anything has changed."""


def wait_until_settled(settings: Settings, redis: Redis, seconds: float, report: Report) -> None:
    """Wait until a deployment has settled, at most ``seconds``. If it has not settled by then, report a difference."""
    quiet = settings.list_refresh_seconds + SPARE_SECONDS
    with _looking(settings, redis) as look:
        report.settled_seconds, waiting = settle(look, quiet, seconds)
    if report.settled_seconds is None:
        report.differ(
            "settling", f"after {seconds:g} s {waiting:,} records wait, or rows and lists still change"
        )


def settle(
    look: Look,
    quiet_seconds: float,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[float | None, int]:
    """Look again and again, until no record waits and nothing has changed for ``quiet_seconds``.

    Returns
    -------
    Seconds until the last change (None if the deployment did not settle), and how many records wait.
    """
    start = changed = clock()
    waiting, before = look()
    while clock() - start < seconds + quiet_seconds:
        if not waiting and clock() - changed >= quiet_seconds:
            return changed - start, 0
        sleep(POLL_SECONDS)
        waiting, now = look()
        if waiting or now != before:
            changed, before = clock(), now
    return None, waiting


@contextmanager
def _looking(settings: Settings, redis: Redis) -> Iterator[Look]:
    # Up to the last stable offset: what waits behind an open transaction waits for its producer.
    consumer = KafkaConsumer(
        **kafka_options(settings), isolation_level="read_committed", metrics_enabled=False
    )
    admin = PatientAdmin(settings)
    try:
        yield lambda: _look(settings, redis, consumer, admin)
    finally:
        admin.close()
        consumer.close()


def _look(
    settings: Settings, redis: Redis, consumer: KafkaConsumer, admin: PatientAdmin
) -> tuple[int, Hashable]:
    topics = Topics(settings)
    ends: Offsets = ends_of(consumer, places(*topics.all()))
    read = [topics.named(name) for stage in STAGES for name in stage.sources]
    waiting = sum(uncommitted(admin, settings.namespace, places(*read), ends).values())
    if settings.encoder != NO_ENCODER:
        texts = places(topics.texts, topics.texts_again)
        waiting += sum(uncommitted(admin, embed_group(settings), texts, ends).values())
    ages = read_ages(redis, settings.namespace)
    return waiting, (frozenset(ends.items()), frozenset(ages.items()))
