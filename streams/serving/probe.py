"""Knows whether Redis takes lists: it writes into it every second, as lists are written."""

from __future__ import annotations

import asyncio
import time

from redis.exceptions import RedisError

from afresh.state.lists import ListStore
from afresh.streams import metrics
from afresh.streams.serving.push import reason

PROBE_SECONDS = 1.0

PATIENCE_SECONDS = 5.0
"""Longest wait for a write, and greatest age of one that says something about now."""


class Probe:
    """Tries whether Redis takes a list. It waits for nothing else, because a push may be tried for long.

    Parameters
    ----------
    store
        Store in Redis that lists are served from.
    """

    def __init__(self, store: ListStore) -> None:
        self._store = store
        self._refusal = "Redis has not answered yet"
        self._taken = 0.0

    async def loop(self) -> None:
        """Try it every second, forever."""
        while True:
            await self.ask()
            await asyncio.sleep(PROBE_SECONDS)

    async def ask(self) -> None:
        """Try it once."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._store.probe()
        except (RedisError, OSError) as error:
            metrics.REDIS_RETRIES.inc()
            self._refusal = f"Redis takes no lists: {reason(error)}"
        else:
            self._refusal, self._taken = "", time.monotonic()

    def refusal(self) -> str:
        """Say why Redis takes no lists; empty if it took one a moment ago."""
        silent = time.monotonic() - self._taken
        if not self._refusal and silent > 2 * PATIENCE_SECONDS:
            return f"Redis has not been asked for {silent:.0f} s"
        return self._refusal
