"""Watches the lists in Redis: an older list must never replace a newer one."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from afresh.state.lists import recommendations_pattern
from afresh.streams import redis_url

LOOK_SECONDS = 0.1

_AGE = re.compile(rb'^{"since":(-?\d+),"revision":(\d+),"generated_at":"([^"]*)"')

Age = tuple[int, int, bytes]


class Watcher:
    """Looks at all lists again and again, from its own thread.

    Parameters
    ----------
    redis
        URL of the server, or of the Sentinels that know it.
    namespace
        Prefix of the lists' keys.
    """

    def __init__(self, redis: str, namespace: str) -> None:
        self.wrong: list[str] = []
        self.looks = 0
        self._redis = redis_url.client(redis, socket_timeout=1.0)
        self._pattern = recommendations_pattern(namespace)
        self._seen: dict[bytes, Age] = {}
        self._away = 0
        self._looking = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopping.set()
        self._thread.join()
        self._redis.close()

    def look_away(self) -> None:
        """Stop looking while Redis loses its lists."""
        with self._looking:
            self._away += 1

    def look_again(self) -> None:
        """Look again, and forget all lists seen before: after their loss, an older list is right."""
        with self._looking:
            self._away -= 1
            self._seen.clear()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            # While Redis is down or slow, there is nothing to see.
            with self._looking, suppress(RedisError, OSError):
                if not self._away:
                    self.look()

    def look(self) -> None:
        """Compare every list with the one seen before."""
        keys = list(self._redis.scan_iter(self._pattern, count=1000))
        values: Any = self._redis.mget(keys) if keys else []
        for key, value in zip(keys, values, strict=True):
            if value is not None:
                self.note(key, value)
        self.looks += 1

    def note(self, key: bytes, value: bytes) -> None:
        """Note a list that Redis holds now, and compare it with the one seen before."""
        found = _AGE.match(value)
        if found is None:
            self.wrong.append(f"{key!r} holds a value that is no list: {value[:60]!r}")
            return
        age = (int(found[1]), int(found[2]), found[3])
        before = self._seen.get(key)
        if before is not None and age < before:
            self.wrong.append(f"{key!r} was replaced by an older list: {before} by {age}")
        self._seen[key] = age
