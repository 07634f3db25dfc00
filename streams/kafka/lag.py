"""How far a process is behind, as its metrics show it: asked of Kafka, for nothing is fetched of what is held back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from aiokafka.errors import KafkaError
from faust.types import TP

from afresh.streams import metrics
from afresh.streams.kafka.app import App

ANSWER_SECONDS = 1.0
"""Longest wait for Kafka: while it does not answer, the lag known already must be seen to grow old."""

REPORT_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Lag:
    """The records of a process's partitions that it has not done with, by topic.

    A record counts from when Kafka takes it until its run may be committed. While Redis or Kafka is slow, partitions
    are held back, and the client's own knowledge of where they end grows old: so Kafka is asked.

    Parameters
    ----------
    app
        The app whose partitions they are.
    now
        Clock, seconds since 1970.
    """

    def __init__(self, app: App, now: Callable[[], float] = time.time) -> None:
        self._app = app
        self._now = now
        self._ends: dict[TP, int] = {}
        self._seen: dict[TP, float] = {}
        self._topics: set[str] = set()

    async def run(self) -> None:
        """Show the lag every second, until the app stops, and its client with it."""
        while not self._app.should_stop:
            await self.report()
            await asyncio.sleep(REPORT_SECONDS)

    async def report(self) -> None:
        """Show the lag as of now; by the ends known last if Kafka does not answer."""
        ours = {tp for tp in self._app.assigned() if self._app.topics.acks_enabled_for(tp.topic)}
        self._ends = {tp: end for tp, end in self._ends.items() if tp in ours}
        self._seen = {tp: since for tp, since in self._seen.items() if tp in ours}
        if ours:
            await self._ask(ours)
        self._topics |= {tp.topic for tp in ours}
        for topic in self._topics:
            behind = [self._behind(tp) for tp in ours if tp.topic == topic]
            metrics.LAG_RECORDS.labels(topic).set(sum(records for records, _ in behind))
            metrics.LAG_SECONDS.labels(topic).set(max((seconds for _, seconds in behind), default=0.0))

    async def _ask(self, ours: set[TP]) -> None:
        consumer = self._app.consumer
        try:
            self._ends |= await asyncio.wait_for(consumer.ends(ours), ANSWER_SECONDS)
        except (KafkaError, TimeoutError) as error:
            logger.warning(
                "Kafka does not say where partitions end (%r); the lag shown may be too small", error
            )

    def _behind(self, tp: TP) -> tuple[int, float]:
        """How many records of a partition are not done with, and how old the first of them is, in seconds."""
        consumer = self._app.consumer
        end = max(self._ends.get(tp, 0), consumer.highwater(tp))
        offset, taken_at = consumer.undone(tp)
        if offset is None or offset >= end:
            self._seen.pop(tp, None)
            return 0, 0.0
        if taken_at is None:
            # When Kafka took a record that is not fetched yet is not known.
            taken_at = self._seen.setdefault(tp, self._now())
        else:
            self._seen.pop(tp, None)
        return end - offset, max(self._now() - taken_at, 0.0)
