"""Pushing to Redis, with retries until it succeeds."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable

from redis.exceptions import MovedError, RedisError

from afresh.streams import metrics

RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0)

SAY_SECONDS = 60.0
"""Time after which the same reason is logged again."""

_NOISE = re.compile(
    r" script: .*@user_script.*|Error running script \(.*?\): @user_script:\d+: (@user_script: \d+: )?|<redis\..*?> - "
)
"""What tells a person nothing: the place in our script, as Redis 7, Valkey and Redis 6 name it, and our own clients."""

logger = logging.getLogger(__name__)


async def until_taken(write: Callable[[], Awaitable[int]]) -> int:
    """Repeat a write until Redis takes it, with a growing backoff and no limit; return the result of the write."""
    failures, said = 0, ("", 0.0)
    while True:
        try:
            taken = await write()
        except (RedisError, OSError) as error:
            wait = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
            failures += 1
            metrics.REDIS_RETRIES.inc()
            why, now = reason(error), time.monotonic()
            if why != said[0] or now - said[1] > SAY_SECONDS:
                said = why, now
                logger.warning("Redis takes no lists: %s; tried %d times, and trying on", why, failures)
            await asyncio.sleep(wait)
        else:
            if failures:
                logger.info("Redis takes lists again, after %d failures", failures)
            return taken


def reason(error: Exception) -> str:
    """Say in a few words why Redis did not do something.

    Examples
    --------
    >>> reason(RedisError("You can't write against a read only replica. script: 57ff, on @user_script:14."))
    "You can't write against a read only replica"
    >>> reason(TimeoutError())
    'it is silent'
    """
    if isinstance(error, MovedError):
        return "it is a node of Redis Cluster, which is not supported"
    if isinstance(error, TimeoutError) and not str(error):
        return "it is silent"
    return _NOISE.sub("", str(error)).removesuffix(".") or type(error).__name__
