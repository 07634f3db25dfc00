"""Plans which encoders read all texts, and which one lists are made from. All processes follow the record."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaConsumer, TopicPartition
from msgspec.structs import replace

from afresh.deploy.clients import read_whole, reader
from afresh.deploy.feeds.feed import command
from afresh.models.encoder import version_of
from afresh.state.encoders import Named, Plan
from afresh.state.errors import AfreshError, mendable
from afresh.streams.encoders import options_of, require_encoder
from afresh.streams.kafka.admin import require_topics
from afresh.streams.kafka.rights import needs
from afresh.streams.kafka.sender import partition_of
from afresh.streams.messages import PLAN_KEY, encode, plan_decoder
from afresh.streams.settings import NO_ENCODER, Settings
from afresh.streams.topics import Topics


def refresh(settings: Settings, name: str, threshold: float) -> Named:
    """Have all texts read by another encoder, and lists change over to it once it has read enough of them.

    Parameters
    ----------
    settings
        Settings of the deployment; those of encoders must be the same for embed workers.
    name
        Name of the encoder, as ``AFRESH_ENCODER`` takes it.
    threshold
        See ``state.encoders.THRESHOLD``.

    Raises
    ------
    AfreshError
        If there is no such encoder, or Kafka does not accept the record.
    """
    asked = settings.model_copy(update={"encoder": name})
    if name == NO_ENCODER:
        raise AfreshError("'none' reads no texts; name an encoder")
    require_encoder(asked)
    with mendable(ValueError):
        encoder = Named(name, version_of(name, options_of(asked)))
    plan = current(settings) or Plan([encoder])
    _send(settings, replace(plan.wants(encoder, _now()), threshold=threshold))
    return encoder


def use(settings: Settings, version: str) -> Named:
    """Have lists made from a version of an encoder that is wanted.

    Raises
    ------
    AfreshError
        If no such version is wanted, or Kafka does not accept the record.
    """
    plan = current(settings)
    wanted = [] if plan is None else plan.wanted
    found = [each for each in wanted if each.version == version]
    if plan is None or not found:
        known = ", ".join(f"{each.version} ({each.name})" for each in wanted) or "none yet"
        raise AfreshError(f"no encoder of version {version!r} is wanted; those that are: {known}")
    _send(settings, replace(plan, use=version, time=_now()))
    return found[0]


def current(settings: Settings) -> Plan | None:
    """Read what is wanted of encoders; None if nobody has planned anything."""
    topic = Topics(settings).encoders
    require_topics(settings, [topic], needs(read=[topic]))
    with opened(settings) as consumer:
        return newest_plan(consumer, settings)


def newest_plan(consumer: KafkaConsumer, settings: Settings) -> Plan | None:
    """Read what is wanted of encoders with a consumer that is there already."""
    topic = Topics(settings).encoders
    place = TopicPartition(topic.name, partition_of(PLAN_KEY, topic.partitions))
    plan = None
    for record in read_whole(consumer, [place]):
        if record.key == PLAN_KEY and record.value is not None:
            plan = plan_decoder.decode(record.value)
    return plan


@contextmanager
def opened(settings: Settings) -> Iterator[KafkaConsumer]:
    """Open a consumer for the block."""
    consumer = reader(settings)
    try:
        yield consumer
    finally:
        consumer.close()


def _send(settings: Settings, plan: Plan) -> None:
    topic = Topics(settings).encoders
    partition = partition_of(PLAN_KEY, topic.partitions)
    command(settings, topic, partition, PLAN_KEY, encode(plan), "afresh embeddings status")


def _now() -> int:
    return int(time.time() * 1000)
