"""How long a broker may hold a fetch that finds nothing: for long, as that costs next to nothing, or only shortly.

A broker answers as soon as there is something to read in one of the partitions that were asked for. aiokafka leaves out
a partition while its records are unread. Its next records are in the next fetch only, after the one under way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from aiokafka import AIOKafkaConsumer

SHORT_SECONDS = 0.02


def poll_long(
    client: AIOKafkaConsumer, longest: float, left_out: Callable[[Collection[Any]], bool] = bool
) -> None:
    """Let a client's fetches be held for long, but shortly while one may leave out what is read next.

    Parameters
    ----------
    client
        The client; it must have started.
    longest
        Longest time that a broker may hold an empty fetch, in seconds.
    left_out
        Returns whether the next fetch may leave out what is read next, given the partitions with unread records.
    """
    fetcher = client._fetcher
    actions = fetcher._get_actions_per_node

    def with_wait(assignment: Any) -> Any:
        seconds = min(SHORT_SECONDS, longest) if left_out(fetcher._records.keys()) else longest
        fetcher._fetch_max_wait_ms = int(1000 * seconds)
        return actions(assignment)

    fetcher._get_actions_per_node = with_wait
    # How often the client looks by itself what to fetch; everything that it waits for wakes it up.
    fetcher._fetcher_timeout = longest
