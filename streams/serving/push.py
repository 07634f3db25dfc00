"""Pushing to Redis, with retries until it succeeds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from afresh.streams import metrics

RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0)

logger = logging.getLogger(__name__)


async def until_taken(write: Callable[[], Awaitable[int]]) -> int:
    """Repeat a write until Redis takes it, with a growing backoff and no limit; return the result of the write."""
    attempt = 0
    while True:
        try:
            return await write()
        except (RedisError, OSError) as error:
            wait = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
            metrics.REDIS_RETRIES.inc()
            logger.warning("Redis did not take the lists (%s); retrying in %s s", error, wait)
            await asyncio.sleep(wait)
            attempt += 1
