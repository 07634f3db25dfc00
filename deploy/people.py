"""Links accounts, ends links, and tells who is one person and why."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
from kafka import TopicPartition
from rich.console import Group
from rich.table import Table

import afresh.streams.kafka.batches  # noqa: F401 - replaces how kafka-python takes batches apart
from afresh.deploy.clients import read_whole, reader
from afresh.deploy.feeds.feed import command
from afresh.deploy.terminal import plain
from afresh.state.errors import AfreshError
from afresh.state.lists import timestamp
from afresh.state.people import LEAST_CONFIDENCE, MOST_ACCOUNTS, MOST_LINKS, Pair, People, Person, Tie
from afresh.streams.checks import RefusedError
from afresh.streams.kafka.admin import require_topics
from afresh.streams.kafka.rights import needs
from afresh.streams.kafka.sender import partition_of
from afresh.streams.links import LinksRead, check_link, key_of_link
from afresh.streams.messages import keyed_decoder, own_key
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION, Topics


def link(settings: Settings, one: str, other: str, kind: str, confidence: float) -> None:
    """Say that two accounts are one person's.

    Raises
    ------
    AfreshError
        If they cannot be linked, or Kafka does not accept the record.
    """
    said = {"accounts": [one, other], "kind": kind, "confidence": confidence, "time": int(time.time() * 1000)}
    _send(settings, one, other, msgspec.json.encode(said))


def unlink(settings: Settings, one: str, other: str) -> None:
    """End the link of two accounts; errors are those of ``link``."""
    _send(settings, one, other, None)


def _send(settings: Settings, one: str, other: str, value: bytes | None) -> None:
    topic, key = Topics(settings).identities, key_of_link(one, other)
    try:
        check_link(key, value, settings)
    except RefusedError as error:
        raise AfreshError(f"{one!r} and {other!r} cannot be linked: {error}") from error
    command(settings, topic, partition_of(key, topic.partitions), key, value, f"afresh who {one}")


def read_people(settings: Settings) -> People:
    """Read who is one person by the links that workers have taken in.

    Raises
    ------
    AfreshError
        If Kafka does not answer, or the topic is missing or wrong.
    """
    topic = Topics(settings).identities_keyed
    require_topics(settings, [topic], needs(read=[topic]))
    place, read = TopicPartition(topic.name, FIRST_PARTITION), LinksRead()
    consumer = reader(settings)
    try:
        for record in read_whole(consumer, [place]):
            if record.value is not None:
                read.take(own_key(record.key), keyed_decoder.decode(record.value))
    finally:
        consumer.close()
    return read.people


def why_not(people: People, pair: Pair, tie: Tie) -> str:
    """Say why a link does not make its accounts one person; an empty text if it does."""
    if tie.kind == "household":
        return "people of a household are not one person"
    if tie.kind == "device" and tie.confidence < LEAST_CONFIDENCE:
        return f"not sure enough: a device counts from {LEAST_CONFIDENCE} on"
    for end in (pair.one, pair.other):
        if people.is_hub(end, tie.sign):
            return f"{end} has more than {MOST_LINKS[tie.sign]} of them"
    if people.person(pair.one).too_many:
        return f"links join more than {MOST_ACCOUNTS} accounts"
    return ""


def links_of_person(people: People, person: Person) -> Iterator[tuple[Pair, Tie, str]]:
    """Yield all links of a person's accounts, and why those do not count that do not."""
    found = {pair: tie for each in person.accounts for pair, tie in people.links_of(each)}
    for pair, tie in sorted(found.items()):
        yield pair, tie, why_not(people, pair, tie)


def as_json(people: People, account: str) -> str:
    """Return what is known of an account's person, for programs."""
    person = people.person(account)
    links = [
        {
            "accounts": [pair.one, pair.other],
            "kind": tie.kind,
            "confidence": tie.confidence,
            "time": timestamp(tie.time / 1000),
            "counts": not why,
            "why_not": why,
        }
        for pair, tie, why in links_of_person(people, person)
    ]
    found = {"canonical": person.canonical, "accounts": list(person.accounts), "links": links}
    return msgspec.json.encode(found).decode()


def people_table(people: People, account: str) -> Group:
    """Show an account's person: the canonical user, all accounts, and the links."""
    person = people.person(account)
    table = Table("account", "account", "known by", "confidence", "since", "counts", box=None)
    for pair, tie, why in links_of_person(people, person):
        since = "" if pair.told else timestamp(tie.time / 1000)[:10]
        row = (pair.one, pair.other, tie.kind, f"{tie.confidence:g}", since, (why and f"no: {why}") or "yes")
        table.add_row(*map(plain, row))
    said = f"canonical user {person.canonical}; accounts: {', '.join(person.accounts)}"
    return Group(plain(said), table) if table.row_count else Group(plain(said), plain("no links"))
