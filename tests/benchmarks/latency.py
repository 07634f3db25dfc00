"""Latency from event to Redis, as an application sees it: send events at a steady rate, and poll Redis for their lists.

The loop is open: an event is sent when it is due, even if earlier events have no list yet. Its latency counts from the
time when it was due. So a stall delays every event that it would delay in production. A closed loop would hide that
(Gil Tene's "coordinated omission").
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import redis.asyncio
from aiokafka import AIOKafkaProducer

from afresh.models.arrays import Integers
from afresh.state.lists import recommendations_key
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics
from tests.benchmarks.rows import DISTINCT

USERS = 500
ITEMS = 5_000
POLL_SECONDS = 0.002
GRACE_SECONDS = 10.0
"""Time to wait for the lists of the last events."""


@dataclass(frozen=True)
class Latencies:
    """Seconds from the time when an event was due to the list that takes it in.

    An event without a list (``unanswered``) counts with the time waited.
    """

    p50_seconds: float
    p99_seconds: float
    sent: int
    unanswered: int


HEADS = """
local heads = {}
for n, key in ipairs(KEYS) do heads[n] = redis.call('GETRANGE', key, 0, 511) end
return heads
"""
"""Lua script that reads the beginning of lists, which holds their last event. Whole lists would take CPU time from the
worker."""

LAST_EVENT = re.compile(rb'"last_event":"[^"]*-(\d+)"')


class OpenLoop:
    """Sends events, and waits for the lists that answer them.

    Parameters
    ----------
    settings
        Addresses of Kafka and Redis.
    name
        Prefix of the ids of events and users; must be different for every measurement.
    items
        Number of items to draw from.
    seed
        Seed of the random users and items.
    tastes
        How many of the different texts of ``rows`` a user keeps to, so that texts tell what is taken next; 0: users
        take any item.
    """

    def __init__(
        self, settings: Settings, name: str, *, items: int = ITEMS, seed: int = 0, tastes: int = 0
    ) -> None:
        self._items = items
        self._tastes = tastes
        self._topic = Topics(settings).events.name
        self._list_key = recommendations_key(settings.namespace, "web:{}")
        self._settings = settings
        self._name = name
        self._random = np.random.default_rng(seed)
        self._waiting: defaultdict[str, deque[tuple[int, float]]] = defaultdict(deque)
        self._seconds: dict[int, float] = {}
        self._sending = True

    async def run(self, *, rate: int, seconds: float, warm_up: float) -> Latencies:
        """Send ``rate`` events per second; the events of the first ``warm_up`` seconds are not counted."""
        store = redis.asyncio.from_url(self._settings.redis.get_secret_value())
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.brokers)
        await producer.start()
        try:
            total, skipped = int(rate * (warm_up + seconds)), int(rate * warm_up)
            await asyncio.gather(self._send(producer, rate, total), self._poll(store))
        finally:
            await producer.stop()
            await store.aclose()
        return self._latencies(total, skipped)

    async def _send(self, producer: AIOKafkaProducer, rate: int, total: int) -> None:
        users = self._random.integers(USERS, size=total)
        items = self._taken(users)
        start = time.perf_counter()
        for number in range(total):
            due = start + number / rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            user = f"{self._name}-{users[number]}"
            self._waiting[user].append((number, due))
            event = {
                "id": f"{self._name}-{number}",
                "type": "view",
                "time": int(time.time() * 1000),
                "user": user,
                "item": f"item-{items[number]}",
                "platform": "web",
                "domain": "films",
            }
            await producer.send(self._topic, msgspec.json.encode(event), key=f"web:{user}".encode())
        self._sending = False

    def _taken(self, users: Integers) -> Integers:
        """Draw an item for each event, by its user."""
        if not self._tastes:
            return self._random.integers(self._items, size=len(users))
        texts = (users * self._tastes + self._random.integers(self._tastes, size=len(users))) % DISTINCT
        return texts + DISTINCT * self._random.integers(self._items // DISTINCT, size=len(users))

    async def _poll(self, store: redis.asyncio.Redis) -> None:
        heads = store.register_script(HEADS)
        give_up, pause = float("inf"), POLL_SECONDS
        while (self._sending or any(self._waiting.values())) and time.perf_counter() < give_up:
            await asyncio.sleep(pause)
            if not self._sending:
                give_up = min(give_up, time.perf_counter() + GRACE_SECONDS)
            began = time.perf_counter()
            users = [user for user, events in self._waiting.items() if events]
            if users:
                lists = await heads(keys=[self._list_key.format(user) for user in users])
                self._note(users, lists)
            # Poll at most half the time. With many lists to wait for, polling would take CPU time from the worker.
            pause = max(POLL_SECONDS, time.perf_counter() - began)

    def _note(self, users: list[str], lists: Sequence[bytes]) -> None:
        """Record the events that lists take in: the event that a list names, and the user's events before it."""
        now = time.perf_counter()
        for user, packed in zip(users, lists, strict=True):
            if not packed:
                continue
            last = int(LAST_EVENT.search(packed)[1])  # type: ignore[index]
            waiting = self._waiting[user]
            while waiting and waiting[0][0] <= last:
                number, due = waiting.popleft()
                self._seconds[number] = now - due

    def _latencies(self, total: int, skipped: int) -> Latencies:
        now = time.perf_counter()
        unanswered = {number: now - due for events in self._waiting.values() for number, due in events}
        seconds = [took for number, took in (self._seconds | unanswered).items() if number >= skipped]
        p50, p99 = np.percentile(seconds, [50, 99])
        return Latencies(float(p50), float(p99), total - skipped, len(unanswered))
