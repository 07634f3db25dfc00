"""Suggests links that nobody told, from what users' rows say: ``afresh suggest``.

It reads the newest row of each user once, compares accounts of different platforms (``models.identity``), and writes
who may be one person to ``identities.suggested``. It takes back what it suggests no longer. No stage reads this topic:
only a link that somebody sends to ``identities`` makes two accounts one person.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from heapq import nlargest
from math import nan
from typing import NamedTuple

import msgspec
import numpy as np
from kafka import KafkaConsumer

import afresh.streams.kafka.batches  # noqa: F401 - replaces how kafka-python takes batches apart
from afresh.deploy.clients import places, read_whole, reader
from afresh.deploy.feeds.feed import Fed, FeedRecord, sender
from afresh.deploy.people import read_people
from afresh.models.identity.fingerprints import Fingerprint
from afresh.models.identity.suggesting import Suggestion, suggest
from afresh.state.people import People
from afresh.state.rows import details, users
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.kafka.admin import require_topics
from afresh.streams.kafka.rights import needs
from afresh.streams.links import key_of_link
from afresh.streams.messages import SuggestedLink, suggested_decoder
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic, Topics

NEWEST = 50_000
"""Accounts that are compared at most: those with the newest events."""

SAME = 0.01
"""Change of a confidence that is not worth a record."""


class Suggested(NamedTuple):
    """What a run did: accounts compared, links suggested now, and records written, among them withdrawals."""

    accounts: int
    links: int
    written: int
    withdrawn: int

    def words(self) -> str:
        """Return the counts as one line of text.

        Examples
        --------
        >>> Suggested(6_040, 12, 3, 1).words()
        'compared 6,040 accounts; links suggested: 12, 2 of them new or changed; taken back: 1'
        """
        return (
            f"compared {self.accounts:,} accounts; links suggested: {self.links:,}, "
            f"{self.written - self.withdrawn:,} of them new or changed; taken back: {self.withdrawn:,}"
        )


def suggest_links(settings: Settings) -> Suggested:
    """Compare the newest accounts, and write what they suggest.

    Raises
    ------
    AfreshError
        If Kafka does not answer or does not accept a record, or a topic is missing or wrong.
    """
    topics = Topics(settings)
    read = [topics.users, topics.identities_suggested]
    require_topics(settings, read, needs(read=read))
    people = read_people(settings)
    consumer = reader(settings)
    try:
        found = fingerprints_of(newest_rows(consumer, topics.users), people)
        standing = standing_suggestions(consumer, topics.identities_suggested)
    finally:
        consumer.close()
    now = {
        key_of_link(each.first, each.second): each
        for each in suggest(found)
        if not is_told(people, each.first, each.second)
    }
    records = list(changes(standing, now, int(time.time() * 1000)))
    with sender(settings, topics.identities_suggested, Fed()) as opened:
        for record in records:
            opened.send(record)
        opened.wait_for_answers()
    return Suggested(len(found), len(now), len(records), sum(each.value is None for each in records))


def newest_rows(consumer: KafkaConsumer, topic: Topic, most: int = NEWEST) -> dict[str, bytes]:
    """Read the packed rows of the users with the newest events, at most ``most`` of them."""
    rows: dict[bytes, tuple[int, bytes]] = {}
    for record in read_whole(consumer, places(topic)):
        if record.value is None or record.key == PARTITION_ROW_KEY:
            rows.pop(record.key, None)
        else:
            rows[record.key] = users.unpack(record.value).last_time, record.value
        if len(rows) >= 2 * most:
            rows = dict(nlargest(most, rows.items(), _newest_first))
    return {key.decode(): row for key, (_, row) in nlargest(most, rows.items(), _newest_first)}


def _newest_first(item: tuple[bytes, tuple[int, bytes]]) -> tuple[int, bytes]:
    key, (newest, _) = item
    return newest, key


def fingerprints_of(rows: Mapping[str, bytes], people: People) -> list[Fingerprint]:
    """Return the fingerprints of all accounts that are a person of their own."""
    return [
        fingerprint_of(user, users.unpack(row))
        for user, row in rows.items()
        if people.person(user).accounts == (user,)
    ]


def fingerprint_of(user: str, row: users.UserRow) -> Fingerprint:
    """Return what a row says of its user's only account."""
    return Fingerprint(
        user,
        user.partition(":")[0],
        np.frombuffer(row.items, "<u4")[::2],
        np.frombuffer(row.times, "<u4"),
        details.unpack(row.details)["value"].astype(np.float32),
        np.frombuffer(row.seen, "<u4"),
    )


def is_told(people: People, one: str, other: str) -> bool:
    """Whether somebody has told of a link of two accounts, though it may not count."""
    wanted = {one, other}
    return any({pair.one, pair.other} == wanted for pair, _ in people.links_of(one))


def standing_suggestions(consumer: KafkaConsumer, topic: Topic) -> dict[bytes, float]:
    """Read the confidence of each link that is suggested so far, by key; NaN where nothing of ours is there."""
    standing: dict[bytes, float] = {}
    for record in read_whole(consumer, places(topic)):
        standing.pop(record.key, None)
        if record.value is not None:
            standing[record.key] = _confidence(record.value)
    return standing


def _confidence(value: bytes) -> float:
    try:
        return suggested_decoder.decode(value).confidence
    except msgspec.MsgspecError:
        return nan


def changes(
    standing: Mapping[bytes, float], now: Mapping[bytes, Suggestion], time: int
) -> Iterator[FeedRecord]:
    """Yield the records that turn what is suggested so far into what is suggested now, at a time in ms."""
    for key in standing.keys() - now.keys():
        yield FeedRecord(key, None)
    for key, (first, second, confidence) in now.items():
        # A NaN is never the same.
        if not abs(standing.get(key, nan) - confidence) < SAME:
            said = SuggestedLink(accounts=(first, second), confidence=round(confidence, 3), time=time)
            yield FeedRecord(key, msgspec.json.encode(said))
