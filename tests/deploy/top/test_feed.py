from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError
from msgspec.structs import replace

from afresh.deploy.top import feed as module
from afresh.deploy.top.feed import Feed
from afresh.state.records import Way
from afresh.streams.kafka.sender import partition_of
from afresh.streams.messages import KeyedRecord, encode, keyed_key
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION, Topic, Topics
from tests.deploy.top.making import event

TOPICS = Topics(Settings(_env_file=None, partitions=4))


class Log:
    """Stands in for a consumer, and for the broker behind it."""

    def __init__(self) -> None:
        self.away = False
        self._records: dict[TopicPartition, list[Any]] = {}
        self._at: dict[TopicPartition, int] = {}

    def add(self, topic: Topic, own_key: str, key: bytes, value: bytes | None) -> None:
        place = TopicPartition(topic.name, partition_of(own_key.encode(), topic.partitions))
        self._records.setdefault(place, []).append(SimpleNamespace(key=key, value=value))

    def event(self, number: int, user: str = "web:ann") -> None:
        self.add(TOPICS.interactions, user, user.encode(), encode(event(number, user=user)))

    def link(self, name: str, canonical: str | None, time: int) -> None:
        value = None if canonical is None else canonical.encode()
        place = TopicPartition(TOPICS.identities_keyed.name, FIRST_PARTITION)
        record = SimpleNamespace(key=keyed_key(0, name.encode()), value=keyed(value, time))
        self._records.setdefault(place, []).append(record)

    def item(self, name: str, value: bytes | None) -> None:
        self.add(TOPICS.items_keyed, name, keyed_key(0, name.encode()), keyed(value, 1))

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self._at = {place: self._at.get(place, 0) for place in partitions}

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._at[place] = offset

    def position(self, place: TopicPartition) -> int:
        return self._at[place]

    def beginning_offsets(self, places: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    def end_offsets(self, places: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        if self.away:
            raise KafkaTimeoutError
        return {place: len(self._records.get(place, [])) for place in places}

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        found = {place: self._records.get(place, [])[at:] for place, at in self._at.items()}
        self._at = {place: len(self._records.get(place, [])) for place in self._at}
        return {place: records for place, records in found.items() if records}


def keyed(value: bytes | None, time: int) -> bytes:
    return encode(KeyedRecord(0, time, time, 0, value))


def opened(log: Any, name: str = "web:ann") -> Feed:
    return Feed(log, TOPICS, name, 1.0)


def polled(feed: Feed) -> list[str]:
    return [each.event for each in feed.poll()]


def test_the_newest_events_of_the_user_come_first_and_then_those_that_happen() -> None:
    log = Log()
    for number, user in enumerate(["web:ann", "web:bob", "web:ann"]):
        log.event(number, user)
    log.add(TOPICS.interactions, "web:ann", b"", b"of a version that knew commands")
    feed = opened(log)
    assert polled(feed) == ["e-0", "e-2"]
    assert polled(feed) == []
    log.event(4)
    assert polled(feed) == ["e-4"]


def test_of_a_long_partition_only_the_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAIL", 2)
    log = Log()
    for number in range(5):
        log.event(number)
    assert polled(opened(log)) == ["e-3", "e-4"]


@pytest.mark.parametrize("name", ["web:ann", "tv:1", "person-7"])
def test_a_person_is_followed_in_all_accounts_under_the_canonical_name(name: str) -> None:
    log = Log()
    log.link("web:ann", "person-7", 2)
    log.link("web:ann", "person-6", 1)
    log.link("tv:1", "person-7", 1)
    log.event(1)
    log.event(2, "tv:1")
    feed = opened(log, name)
    assert (feed.user, sorted(polled(feed))) == ("person-7", ["e-1", "e-2"])


def test_an_event_that_was_sent_on_is_shown_once() -> None:
    log = Log()
    log.link("web:ann", "person-7", 1)
    log.event(1)
    sent_on = replace(event(1), user="person-7", account="web:ann", way=Way(0, 1024, 5))
    log.add(TOPICS.interactions, "person-7", b"person-7", encode(sent_on))
    assert polled(opened(log)) == ["e-1"]


def test_a_link_that_comes_or_ends_while_the_user_is_watched_is_followed() -> None:
    log = Log()
    log.event(1)
    log.event(2, "tv:1")
    feed = opened(log)
    assert polled(feed) == ["e-1"]
    log.link("web:ann", "tv:1", 1)
    log.event(3)
    assert (polled(feed), feed.user) == (["e-3"], "web:ann")
    assert (sorted(polled(feed)), feed.user) == (["e-1", "e-2", "e-3"], "tv:1")
    log.link("web:ann", None, 2)
    assert (polled(feed), feed.user) == ([], "tv:1")
    assert (polled(feed), feed.user) == (["e-1", "e-3"], "web:ann")


def test_titles_are_read_and_one_that_cannot_be_read_is_left_out() -> None:
    log = Log()
    for name, value in {"alien": {"title": "Alien"}, "odd": {"title": 7}, "gone": {"title": "Gone"}}.items():
        log.item(name, msgspec.json.encode(value))
    log.item("gone", None)
    assert opened(log).titles == {"alien": "Alien", "gone": ""}


def test_a_broker_that_is_away_is_noticed_though_the_consumer_is_silent() -> None:
    log = Log()
    feed = opened(log)
    log.away = True
    with pytest.raises(KafkaTimeoutError):
        feed.poll()
