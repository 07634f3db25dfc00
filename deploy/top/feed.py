"""Reads the events of one person from Kafka, the links of accounts, and the titles of items."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition

import afresh.streams.kafka.batches  # noqa: F401 - replaces how kafka-python takes batches apart
from afresh.deploy.clients import places, reader
from afresh.state.records import Interaction
from afresh.streams.kafka.admin import require_topics
from afresh.streams.kafka.rights import needs
from afresh.streams.kafka.sender import partition_of
from afresh.streams.links import LinksRead
from afresh.streams.messages import interaction_decoder, keyed_decoder, own_key
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION, Topic, Topics

POLL_MS = 250
"""Longest wait for an event, in ms; so often is the list looked at, too."""

TAIL = 10_000
"""Records of the user's partition that are read first: among them are the user's newest events."""

POLL_RECORDS = 5000

TITLES_SECONDS = 5.0
"""Longest wait for titles at the beginning; those of a large catalogue come while the user is watched."""


class TitledItem(msgspec.Struct):
    """What is read of an item."""

    title: str = ""


_title_decoder = msgspec.json.Decoder(TitledItem)


class Feed:
    """The events of a person, whatever the accounts, from the newest ones on.

    Parameters
    ----------
    consumer
        A consumer without a group.
    topics
        The topics of the deployment.
    name
        An account, ``platform:user``, or a canonical user.
    patience_seconds
        Longest time to wait for an answer of Kafka.

    Attributes
    ----------
    titles
        Title of each item, by its id, as far as items have been read.
    """

    def __init__(self, consumer: KafkaConsumer, topics: Topics, name: str, patience_seconds: float) -> None:
        self.titles: dict[str, str] = {}
        self._consumer = consumer
        self._topics = topics
        self._name = name
        self._patience_seconds = patience_seconds
        self._read = LinksRead()
        self._links = TopicPartition(topics.identities_keyed.name, FIRST_PARTITION)
        self._items = places(topics.items_keyed)
        consumer.assign([self._links])
        self._read_on([self._links], patience_seconds)
        consumer.assign([self._links, *self._items])
        self._read_on(self._items, TITLES_SECONDS)
        self._person = self._read.people.person(name)
        self._newest = self._follow()

    @property
    def user(self) -> str:
        """Return the canonical user."""
        return self._person.canonical

    def poll(self) -> list[Interaction]:
        """Return the next events of the person; wait for them a little.

        Raises
        ------
        KafkaError
            If Kafka does not answer, or refuses.
        """
        if (person := self._read.people.person(self._name)) != self._person:
            self._person = person
            self._newest = self._follow()
        if self._newest:
            newest, self._newest = self._newest, []
            return newest
        polled = self._consumer.poll(timeout_ms=POLL_MS)
        if not polled:
            # The consumer itself is silent when no broker is there.
            self._end(self._links)
        return self._take(polled)

    def _follow(self) -> list[Interaction]:
        """Go to the newest events of all accounts, and return them together."""
        accounts = {*self._person.accounts, self._name}
        events = sorted({_place(self._topics.interactions, each) for each in accounts})
        begins = {
            place: self._consumer.beginning_offsets([place], timeout_ms=self._patience_ms)[place]
            for place in events
        }
        self._consumer.assign([self._links, *self._items, *events])
        for place, begin in begins.items():
            self._consumer.seek(place, max(self._end(place) - TAIL, begin))
        return self._read_on(events, self._patience_seconds)

    def _read_on(self, some: Sequence[TopicPartition], seconds: float) -> list[Interaction]:
        """Read some partitions to where they end now, but no longer than some seconds; return events of the user."""
        ends, deadline = {place: self._end(place) for place in some}, time.monotonic() + seconds
        events: list[Interaction] = []
        while time.monotonic() < deadline and any(
            (self._consumer.position(place) or 0) < end for place, end in ends.items()
        ):
            events += self._take(self._consumer.poll(timeout_ms=POLL_MS))
        return events

    def _take(self, polled: dict[TopicPartition, list[Any]]) -> list[Interaction]:
        events: list[Interaction] = []
        for place, records in polled.items():
            if place.topic == self._topics.identities_keyed.name:
                self._take_links(records)
            elif place.topic == self._topics.items_keyed.name:
                self._take_titles(records)
            else:
                events += self._of_person(records)
        return events

    def _of_person(self, records: Sequence[Any]) -> Iterator[Interaction]:
        """Return the events of the person, but not those that were sent on: they were read where they came from."""
        keys = {each.encode() for each in (*self._person.accounts, self._name)}
        for each in records:
            if each.key in keys and (event := interaction_decoder.decode(each.value)).way is None:
                yield event

    def _take_links(self, records: Sequence[Any]) -> None:
        for each in records:
            if each.value is not None:
                self._read.take(own_key(each.key), keyed_decoder.decode(each.value))

    def _take_titles(self, records: Sequence[Any]) -> None:
        for each in records:
            item = None if each.value is None else keyed_decoder.decode(each.value).value
            # What is misshapen in an item costs a worker less than the title; here it costs the title.
            with suppress(msgspec.MsgspecError):
                self.titles[own_key(each.key).decode()] = (
                    "" if item is None else _title_decoder.decode(item).title
                )

    def _end(self, place: TopicPartition) -> int:
        # One by one: of several, kafka-python leaves out those whose leader it does not know yet.
        return int(self._consumer.end_offsets([place], timeout_ms=self._patience_ms)[place])

    @property
    def _patience_ms(self) -> int:
        return int(self._patience_seconds * 1000)


def _place(topic: Topic, user: str) -> TopicPartition:
    return TopicPartition(topic.name, partition_of(user.encode(), topic.partitions))


@contextmanager
def feed(settings: Settings, name: str) -> Iterator[Feed]:
    """Open the events of a user.

    Raises
    ------
    AfreshError
        If Kafka does not answer, or its topics or rights are wrong.
    KafkaError
        If Kafka goes away meanwhile.
    """
    topics = Topics(settings)
    read = [topics.interactions, topics.identities_keyed, topics.items_keyed]
    require_topics(settings, read, needs(read=read))
    consumer = reader(
        settings,
        max_poll_records=POLL_RECORDS,
    )
    try:
        yield Feed(consumer, topics, name, settings.start_timeout_seconds)
    finally:
        consumer.close()
