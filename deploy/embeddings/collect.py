"""Collects which encoders have read which items, and how fast they go on."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition

from afresh.deploy.clients import (
    SILENT_SECONDS,
    Offsets,
    begins_of,
    ends_of,
    places,
    read_records,
    uncommitted,
)
from afresh.deploy.embeddings.plans import newest_plan, opened
from afresh.deploy.status.model import newest_version
from afresh.state.encoders import Named, Plan
from afresh.state.rows import content
from afresh.streams.encoders import embed_group
from afresh.streams.kafka.admin import require_topics
from afresh.streams.kafka.patient import PatientAdmin
from afresh.streams.kafka.rights import needs
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION, Topics

LATELY_SECONDS = 60.0
"""Speed is that of so many last seconds."""


@dataclass(frozen=True)
class Embedded:
    """Which encoders have read which items.

    Attributes
    ----------
    plan
        What is wanted; None if nobody has planned anything.
    used
        Version that lists are made from; empty if it is not known.
    items
        Number of items with a text.
    read
        Number of items whose present text each encoder has read.
    waiting
        Number of texts that wait to be encoded.
    speed
        Texts encoded in a second, lately.
    """

    plan: Plan | None
    used: str
    items: int
    read: dict[Named, int]
    waiting: int
    speed: float

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the newest encoder has read all; None if nothing moves."""
        if self.plan is None or not self.speed:
            return None
        return (self.items - self.read.get(self.plan.wanted[0], 0)) / self.speed


def look(settings: Settings) -> Embedded:
    """Collect which encoders have read which items.

    Raises
    ------
    AfreshError
        If Kafka does not answer, or if its topics or rows are wrong.
    """
    topics = Topics(settings)
    require_topics(settings, rights=needs(read=[topics.content, topics.encoders, topics.model]))
    admin = PatientAdmin(settings)
    try:
        with opened(settings) as consumer:
            every = places(topics.content, topics.model, topics.texts, topics.texts_again)
            begins, ends = begins_of(consumer, every), ends_of(consumer, every)
            asked = places(topics.texts, topics.texts_again)
            items, read = _count(consumer, topics, begins, ends)
            model = TopicPartition(topics.model.name, FIRST_PARTITION)
            return Embedded(
                plan=newest_plan(consumer, settings),
                used=newest_version(consumer, model, begins[model], ends[model]).encoder,
                items=items,
                read=read,
                waiting=sum(uncommitted(admin, embed_group(settings), asked, ends, begins).values()),
                speed=_answers_since(consumer, topics, LATELY_SECONDS) / LATELY_SECONDS,
            )
    finally:
        admin.close()


def _count(
    consumer: KafkaConsumer, topics: Topics, begins: Offsets, ends: Offsets
) -> tuple[int, dict[Named, int]]:
    """Count the items with a text, and those whose present text each encoder has read."""
    items, read = 0, Counter[Named]()
    for place in places(topics.content):
        newest: dict[bytes, tuple[Named, ...] | None] = {}
        for record in read_records(consumer, place, begins[place], ends[place], SILENT_SECONDS):
            # Of each row no more is kept than who has read it.
            newest[record.key] = _readers(record.key, record.value)
        found = [each for each in newest.values() if each is not None]
        items += len(found)
        read.update(named for each in found for named in each)
    return items, dict(read)


def _readers(key: bytes, packed: bytes | None) -> tuple[Named, ...] | None:
    """Return who has read the text of a row; None for what is no item with a text."""
    row = content.unpack_items({key: packed})[0].get(key.decode("utf-8", "replace"))
    if row is None or not row.content:
        return None
    vectors = row.all_of(content.TEXT)
    return tuple(Named(each.encoder, each.encoder_version) for each in vectors if each.content == row.content)


def _answers_since(consumer: KafkaConsumer, topics: Topics, seconds: float) -> int:
    """Count the texts that were encoded in the last seconds."""
    every = places(topics.embeddings)
    since = int((time.time() - seconds) * 1000)
    ends, found = ends_of(consumer, every), consumer.offsets_for_times(dict.fromkeys(every, since))
    return sum(ends[place] - each.offset for place, each in found.items() if each is not None)
