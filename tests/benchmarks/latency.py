"""Event → Redis as an application would time it: events at a steady rate, their lists polled from Redis.

The loop is open: an event is sent when it is due, whatever became of those before it, and its latency counts
from when it was due, so that a stall delays every event that it would have delayed in life (Gil Tene's
"coordinated omission").
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

from afresh.state.lists import recommendations_key
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

USERS = 500
ITEMS = 5_000
POLL_SECONDS = 0.002
GRACE_SECONDS = 10.0
"""How long the last events are waited for."""


@dataclass(frozen=True)
class Latencies:
    """Seconds from when an event was due to the list that takes it in; without one, the time waited."""

    p50_seconds: float
    p99_seconds: float
    sent: int
    unanswered: int


HEADS = """
local heads = {}
for place, key in ipairs(KEYS) do heads[place] = redis.call('GETRANGE', key, 0, 511) end
return heads
"""
"""Reads the beginning of lists, where their last event stands: whole lists would cost the worker's CPU."""

LAST_EVENT = re.compile(rb'"last_event":"[^"]*-(\d+)"')


class OpenLoop:
    """Sends events, and waits for the lists that answer them.

    Parameters
    ----------
    settings
        Where Kafka and Redis are.
    name
        First part of the ids of events and users, another one for every run.
    """

    def __init__(self, settings: Settings, name: str, *, items: int = ITEMS, seed: int = 0) -> None:
        self._items = items
        self._topic = Topics(settings).events.name
        self._list_key = recommendations_key(settings.namespace, "web:{}")
        self._settings = settings
        self._name = name
        self._random = np.random.default_rng(seed)
        self._waiting: defaultdict[str, deque[tuple[int, float]]] = defaultdict(deque)
        self._seconds: dict[int, float] = {}
        self._sending = True

    async def run(self, *, rate: int, seconds: float, warm_up: float) -> Latencies:
        """Send ``rate`` events a second, those of the first ``warm_up`` seconds not counted."""
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
        items = self._random.integers(self._items, size=total)
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
            # Half the time at most: with many lists to wait for, polling would take the worker's CPU.
            pause = max(POLL_SECONDS, time.perf_counter() - began)

    def _note(self, users: list[str], lists: Sequence[bytes]) -> None:
        """Note the events that lists take in: the one named, and those of the user before it."""
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
