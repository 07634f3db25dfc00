"""Looks at a user again and again, in Kafka and in Redis. One that is away is named, and asked again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from kafka.errors import KafkaError
from redis import RedisError

from afresh.deploy.clients import redis_client
from afresh.deploy.errors import explain
from afresh.deploy.top.feed import Feed, feed
from afresh.state.errors import AfreshError
from afresh.state.lists import ListReader, UserList, decode_user_list
from afresh.state.records import Interaction
from afresh.streams.settings import Settings

PATIENCE_SECONDS = 3.0
"""Longest wait for Kafka or Redis: while one is away, what the other says is still to be seen."""

PAUSE_SECONDS = 1.0
"""Time until Kafka is asked again."""


@dataclass(frozen=True)
class Look:
    """What was seen at one look.

    Attributes
    ----------
    user
        The canonical user.
    events
        Events of the user; after Kafka was away, some of them were seen before.
    list
        The list in Redis; None if there is none.
    titles
        Title of each item, by its id, as far as known.
    problems
        Sentences on what is away.
    """

    user: str
    events: list[Interaction] = field(default_factory=list)
    list: UserList | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


class Sources:
    """Kafka and Redis, as far as they are about one user.

    Parameters
    ----------
    user
        The user as a person names it.
    lists
        Reads lists from Redis.
    open_feed
        Opens the events of the user in Kafka.
    sleep
        Waits until Kafka is asked again.
    """

    def __init__(
        self,
        user: str,
        lists: ListReader,
        open_feed: Callable[[ExitStack], Feed],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._user = user
        self._lists = lists
        self._open_feed = open_feed
        self._sleep = sleep
        self._stack = ExitStack()
        self._feed: Feed | None = None
        self._titles: Mapping[str, str] = {}

    def look(self) -> Look:
        """Look at Kafka, then at Redis."""
        problems: list[str] = []
        events, found = self._events(problems), self._list(problems)
        return Look(self._user, events, found, self._titles, tuple(problems))

    def close(self) -> None:
        """Close what is open in Kafka."""
        self._feed = None
        self._stack.close()

    def _events(self, problems: list[str]) -> list[Interaction]:
        try:
            if self._feed is None:
                self._feed = self._open_feed(self._stack)
            events = self._feed.poll()
            self._user, self._titles = self._feed.user, self._feed.titles
        except (AfreshError, KafkaError) as error:
            problems.append(explain(error) or str(error))
            self.close()
            self._sleep(PAUSE_SECONDS)
            return []
        return events

    def _list(self, problems: list[str]) -> UserList | None:
        try:
            packed = self._lists.of_user(self._user)
            return None if packed is None else decode_user_list(packed, self._user)
        except (AfreshError, RedisError) as error:
            problems.append(explain(error) or str(error))
            return None


@contextmanager
def open_sources(settings: Settings, user: str) -> Iterator[Sources]:
    """Open Kafka and Redis to watch a user."""
    patience = min(settings.start_timeout_seconds, PATIENCE_SECONDS)
    hasty = settings.model_copy(update={"start_timeout_seconds": patience})
    with redis_client(hasty) as redis:
        opened = Sources(
            user,
            ListReader(redis, settings.namespace),
            lambda stack: stack.enter_context(feed(hasty, user)),
        )
        try:
            yield opened
        finally:
            opened.close()
