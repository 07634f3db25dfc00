"""The load: what producers send while things break, good and bad, each record acknowledged."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import Any

import msgspec
from kafka import KafkaProducer

from afresh.streams.kafka.sender import partition_of
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

USERS = 200
ITEMS = 100

QUIET_USERS = 20
"""Users who do something once, at the start: whatever happens to their lists later, no event of theirs mends it."""

POISON = 0.05
"""Share of events that are no events."""

TWICE = 0.05
"""Share of events sent again under another offset."""

LATE = 0.05
"""Share of events that happened hours before they are sent."""

HOT = 0.3
"""Share of all events that a hot user or item gets."""

LATE_MS = 6 * 3_600_000

TICK_SECONDS = 0.05
TEXT_SECONDS = 1.0
"""How often an item's text changes."""

PATIENCE_MS = 600_000
"""How long the producer waits for a broker that is down; nothing that was sent may be given up."""

RECONNECT_MS = 500
"""Longest wait between two tries to reach the broker; by default 30 s, in which no worker could answer."""

TYPES = ("view", "view", "click", "add_to_cart", "purchase", "rating", "like", "dislike", "impression")
WORDS = ("space", "love", "war", "crime", "ballet", "children", "robot", "desert", "music", "winter")
PLATFORMS = ("web", "app")


class Load:
    """Sends events for users and items from a thread of its own.

    Parameters
    ----------
    settings
        The deployment.
    seed
        What is sent is a function of it.
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
        """Feed the catalogue, and begin to send events."""
        for number in range(ITEMS):
            self.item(number)
        for number in range(QUIET_USERS):
            self.event(f"quiet-{number}", "item-0")
        self._thread.start()

    def stop(self) -> None:
        """Send no more; return once everything sent is acknowledged."""
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
        """Users whom the load leaves alone, one for each partition."""
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
        next_text = time.monotonic()
        while not self._stopping.wait(TICK_SECONDS):
            due += self.rate * self.burst * TICK_SECONDS
            while due >= 1.0:
                due -= 1.0
                self._send_one()
            if time.monotonic() > next_text:
                next_text = time.monotonic() + TEXT_SECONDS
                self._change_an_item()

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
        # Some items are taken far more often than others.
        return f"item-{int(ITEMS * self._random.random() ** 2)}"

    def _platform(self) -> str:
        return self._random.choice(PLATFORMS)

    def _change_an_item(self) -> None:
        number = self._random.randrange(ITEMS)
        if self._random.random() < 0.1:
            self.delete_item(number)
        else:
            self.item(number)

    def _send(self, topic: str, key: bytes, value: bytes | None) -> None:
        self._producer.send(topic, value, key).add_errback(lambda error: self.refused.append(repr(error)))


def poison(chance: random.Random) -> bytes | None:
    """Something that is no event: fuzzed bytes, or an event with one thing wrong."""
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
