"""Incarnations: tell whether a topic is still the one that was there before.

A topic that is deleted and made again has the same name, and begins its offsets again. Kafka gives each topic an id of
its own. An *incarnation* is the last 8 bytes of this id, as a number; it is 0 where the broker has no topic ids.
aiokafka 0.14 does not tell ids, so another client asks for them: once before the sources are read, and again and again
while a process runs. A process ends when a topic is another one, because records of both could be under way in it. Its
next start decides what to do (``streams.kafka.starts``).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import count

from kafka.errors import KafkaError

from afresh.state.errors import AfreshError, StartAgainError
from afresh.state.store.marks import UNKNOWN
from afresh.streams import metrics
from afresh.streams.kafka.admin import TopicClient
from afresh.streams.kafka.rights import Needs, refusal
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic

WATCH_SECONDS = 3.0
"""Time between two looks."""

LOOKS_A_POLICY = 5
"""Looks at ids for each look at policies, which costs three times as much. Kafka deletes nothing within minutes."""

POLICY_SECONDS = 600.0
"""Time between two equal complaints about a topic."""

logger = logging.getLogger(__name__)


class Incarnations:
    """Incarnations of topics, as this process has met them.

    Examples
    --------
    >>> met = Incarnations()
    >>> met.learn({"events": 7})
    >>> met.of("events"), met.of("items")
    (7, 0)
    """

    def __init__(self) -> None:
        self._met: dict[str, int] = {}

    def of(self, topic: str) -> int:
        """Return the incarnation of a topic; 0 if it is not known."""
        return self._met.get(topic, UNKNOWN)

    def learn(self, found: Mapping[str, int]) -> None:
        """Take in what Kafka says.

        Raises
        ------
        StartAgainError
            If a topic is another one than before.
        """
        for topic, incarnation in found.items():
            if self._met.setdefault(topic, incarnation) != incarnation:
                raise StartAgainError(
                    f"{topic} was deleted and made again while this process ran; start it again: then it says what "
                    "that means"
                )


class TopicWatch:
    """Asks Kafka for the ids and the cleanup policies of topics, and for our rights to them, again and again.

    Parameters
    ----------
    settings
        Settings of the deployment.
    topics
        Topics to watch.
    rights
        What the process needs on them.
    incarnations
        Learns the ids.
    end
        Ends the process because of an error.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Sequence[Topic],
        rights: Needs,
        incarnations: Incarnations,
        end: Callable[[AfreshError], Awaitable[None]],
    ) -> None:
        self._client = TopicClient(settings)
        self._topics = topics
        self._rights = rights
        self._incarnations = incarnations
        self._end = end
        self._complained: dict[str, float] = {}

    async def ask(self) -> None:
        """Ask for the ids.

        Raises
        ------
        StartAgainError
            If a topic is another one than before.
        NotAllowedError
            If a right is missing.
        KafkaError
            If Kafka does not answer.
        """
        names = [topic.name for topic in self._topics]
        self._incarnations.learn(await asyncio.to_thread(self._client.incarnations, names, self._rights))

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            for turn in count(1):
                await asyncio.sleep(WATCH_SECONDS)
                await self.look(policies=turn % LOOKS_A_POLICY == 0)
        except AfreshError as error:
            await self._end(error)
        finally:
            self._client.close()

    async def look(self, *, policies: bool) -> None:
        """Look once, also at policies or not; while Kafka is silent, there is nothing to see."""
        try:
            await self.ask()
            if policies:
                self._complain(await asyncio.to_thread(self._client.policies, self._topics))
        except (KafkaError, OSError) as error:
            if (refused := refusal(error)) is not None:
                raise refused from error
            logger.warning("Kafka does not describe the topics (%r)", error)

    def _complain(self, wrong: Mapping[str, str]) -> None:
        """Say which topics have another policy than they must have: rows in them are lost sooner or later."""
        now = time.monotonic()
        for topic in self._topics:
            metrics.POLICY_WRONG.labels(topic.name).set(topic.name in wrong)
        for name in _due(wrong, self._complained, now):
            self._complained[name] = now
            logger.error(
                "%s has cleanup.policy %s instead of %s: Kafka deletes what is needed; set it back at once",
                *(name, wrong[name], _policy(self._topics, name)),
                extra={"topic": name},
            )


def _due(wrong: Collection[str], complained: Mapping[str, float], now: float) -> list[str]:
    return [name for name in wrong if now - complained.get(name, float("-inf")) >= POLICY_SECONDS]


def _policy(topics: Sequence[Topic], name: str) -> str:
    return next(topic.config["cleanup.policy"] for topic in topics if topic.name == name)
