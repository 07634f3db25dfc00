"""The load: good and bad records that producers send during faults; Kafka acknowledges each of them."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import Any

import msgspec
from kafka import KafkaProducer

from afresh.streams.kafka.sender import partition_of
from afresh.streams.links import key_of_link
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

USERS = 200
ITEMS = 100

QUIET_USERS = 20
"""Users with one event each, at the start. If a fault loses their lists later, no new event of theirs repairs it."""

POISON = 0.05
"""Share of records that are malformed."""

TWICE = 0.05
"""Share of records that repeat an earlier event; a repetition has another offset."""

LATE = 0.05
"""Share of events that are sent hours after their time."""

HOT = 0.3
"""Share of all events that go to a hot user or item."""

LATE_MS = 6 * 3_600_000

TICK_SECONDS = 0.05
TEXT_SECONDS = 1.0
"""Time between two changes of an item."""

LINK_SECONDS = 0.2
"""Time between two links, or ends of links."""

LINKED_USERS = 40
"""Users whose accounts are linked with others, and unlinked."""

PATIENCE_MS = 600_000
"""Longest wait of the producer for a broker that is down; it must not give up any record."""

RECONNECT_MS = 500
"""Longest backoff before the next try to reach the broker. The default of 30 s would delay the answers to events."""

TYPES = ("view", "view", "click", "add_to_cart", "purchase", "rating", "like", "dislike", "impression")
WORDS = ("space", "love", "war", "crime", "ballet", "children", "robot", "desert", "music", "winter")
PLATFORMS = ("web", "app")


class Load:
    """Sends events and items from its own thread.

    Parameters
    ----------
    settings
        Settings of the deployment.
    seed
        Seed of the random choices.
    rate
        Events a second.
    """

    def __init__(self, settings: Settings, seed: int, rate: float) -> None:
        self.sent = 0
        self.rate = rate
        self.burst = 1.0
        self.hot_user = ""
        self.hot_item = ""
        self.refused: list[str] = []
        self._settings = settings
        self._topics = Topics(settings)
        self._random = random.Random(seed)
        self._recent: deque[tuple[bytes, bytes]] = deque(maxlen=500)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._producer = KafkaProducer(
            bootstrap_servers=settings.brokers,
            max_block_ms=PATIENCE_MS,
            reconnect_backoff_max_ms=RECONNECT_MS,
            delivery_timeout_ms=PATIENCE_MS,
            metrics_enabled=False,
        )

    def start(self) -> None:
        """Send the catalogue, and begin to send events."""
        for number in range(ITEMS):
            self.item(number)
        for number in range(QUIET_USERS):
            self.event(f"quiet-{number}", "item-0")
        self._thread.start()

    def stop(self) -> None:
        """Stop sending, and return once Kafka has acknowledged everything."""
        self._stopping.set()
        self._thread.join()
        self._producer.flush()
        self._producer.close()

    def event(self, user: str, item: str, platform: str = "web", **fields: Any) -> str:
        """Send an event and return its id."""
        self.sent += 1
        event = {
            "id": f"event-{self.sent}",
            "type": "view",
            "time": int(time.time() * 1000),
            "user": user,
            "item": item,
            "platform": platform,
            "domain": "films",
        } | fields
        key, value = f"{platform}:{user}".encode(), msgspec.json.encode(event)
        self._send(self._topics.events.name, key, value)
        self._recent.append((key, value))
        return str(event["id"])

    def item(self, number: int) -> None:
        """Send an item with a new text."""
        name = f"item-{number}"
        item = {
            "id": name,
            "domain": "films",
            "title": name,
            "text": " ".join(self._random.choices(WORDS, k=12)),
        }
        self._send(self._topics.items.name, name.encode(), msgspec.json.encode(item))

    def delete_item(self, number: int) -> None:
        """Delete an item."""
        self._send(self._topics.items.name, b"item-%d" % number, None)

    def probe_users(self) -> list[str]:
        """Return users that the load itself does not use, one for each partition."""
        partitions = self._settings.partitions
        found: dict[int, str] = {}
        number = 0
        while len(found) < partitions:
            name = f"probe-{number}"
            found.setdefault(partition_of(f"web:{name}".encode(), partitions), name)
            number += 1
        return list(found.values())

    def _run(self) -> None:
        due = 0.0
        next_text = next_link = time.monotonic()
        while not self._stopping.wait(TICK_SECONDS):
            due += self.rate * self.burst * TICK_SECONDS
            while due >= 1.0:
                due -= 1.0
                self._send_one()
            if time.monotonic() > next_text:
                next_text = time.monotonic() + TEXT_SECONDS
                self._change_an_item()
            if time.monotonic() > next_link:
                next_link = time.monotonic() + LINK_SECONDS
                self._change_a_link()

    def _send_one(self) -> None:
        chance = self._random.random()
        if chance < POISON:
            self.sent += 1
            key = b"web:user-%d" % self._random.randrange(USERS)
            self._send(self._topics.events.name, key, poison(self._random))
        elif chance < POISON + TWICE and self._recent:
            self.sent += 1
            self._send(self._topics.events.name, *self._random.choice(self._recent))
        else:
            late = self._random.random() < LATE
            when = int(time.time() * 1000) - (self._random.randrange(LATE_MS) if late else 0)
            self.event(
                self._user(), self._item(), self._platform(), type=self._random.choice(TYPES), time=when
            )

    def _user(self) -> str:
        if self.hot_user and self._random.random() < HOT:
            return self.hot_user
        return f"user-{self._random.randrange(USERS)}"

    def _item(self) -> str:
        if self.hot_item and self._random.random() < HOT:
            return self.hot_item
        # The square makes some items far more popular than others.
        return f"item-{int(ITEMS * self._random.random() ** 2)}"

    def _platform(self) -> str:
        return self._random.choice(PLATFORMS)

    def _change_an_item(self) -> None:
        number = self._random.randrange(ITEMS)
        if self._random.random() < 0.1:
            self.delete_item(number)
        else:
            self.item(number)

    def _change_a_link(self) -> None:
        """Link an account with that on the other platform or with another user's, or end such a link."""
        number, other = (self._random.randrange(LINKED_USERS) for _ in range(2))
        accounts = f"web:user-{number}", f"app:user-{number if self._random.random() < 0.8 else other}"
        said = {"accounts": accounts, "time": int(time.time() * 1000)}
        value = msgspec.json.encode(said) if self._random.random() < 0.6 else None
        self._send(self._topics.identities.name, key_of_link(*accounts), value)

    def _send(self, topic: str, key: bytes, value: bytes | None) -> None:
        self._producer.send(topic, value, key).add_errback(lambda error: self.refused.append(repr(error)))


def poison(chance: random.Random) -> bytes | None:
    """Make a value that is no valid event: fuzzed bytes, or an event with one error."""
    good: dict[str, Any] = {
        "id": f"poison-{chance.getrandbits(64)}",
        "type": "view",
        "time": 1_790_000_000_000,
        "user": "u",
        "item": "i",
        "platform": "web",
        "domain": "films",
    }
    wrong: tuple[bytes | None, ...] = (
        None,
        b"",
        chance.randbytes(chance.randrange(1, 200)),
        msgspec.json.encode(good)[: chance.randrange(1, 100)],
        msgspec.json.encode(good | {"time": "yesterday"}),
        msgspec.json.encode(good | {"time": 1}),
        msgspec.json.encode(good | {"version": 99}),
        msgspec.json.encode(good | {"user": ""}),
        msgspec.json.encode(good).replace(b'"u"', b'"\xff\xfe"'),
        msgspec.json.encode(good).replace(b"1790000000000", b"NaN"),
        msgspec.json.encode(good).replace(b"1790000000000", b"9" * 400),
        b"[" * 100_000,
        msgspec.json.encode(good | {"session": "x" * 70_000}),
    )
    return chance.choice(wrong)
