"""Pushing to Redis, however long it does not take anything."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from afresh.streams import metrics

RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0)

logger = logging.getLogger(__name__)


async def until_taken(write: Callable[[], Awaitable[int]]) -> int:
    """Write to Redis until it takes it, however long that lasts; return what the write returns."""
    attempt = 0
    while True:
        try:
            return await write()
        except (RedisError, OSError) as error:
            wait = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
            metrics.REDIS_RETRIES.inc()
            logger.warning("Redis did not take the lists (%s); again in %s s", error, wait)
            await asyncio.sleep(wait)
            attempt += 1
