"""Lag: shows in metrics how far a process is behind the end offsets that Kafka reports."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable

from aiokafka.errors import KafkaError
from faust.types import TP

from afresh.streams import metrics
from afresh.streams.kafka.app import App

ANSWER_SECONDS = 1.0
"""Longest wait for Kafka: while Kafka is silent, the age of the lag already known must still grow in the metrics."""

REPORT_SECONDS = 1.0

LOOKS = 1000
"""Looks at the end of a partition that are remembered: all of a quarter of an hour; of longer, with pauses."""

logger = logging.getLogger(__name__)


class Seen:
    """When the ends of a partition were first seen: so old, at least, are records that are not fetched yet.

    Nobody knows when Kafka took them. That the partition had something unfinished at every look says nothing of their
    age: under a steady load it always has.
    """

    def __init__(self) -> None:
        self._ends: deque[tuple[int, float]] = deque()
        self._pause = 0.0

    def note(self, offset: int, end: int, now: float) -> float:
        """Note the end as of now, and return when a record was first seen.

        Parameters
        ----------
        offset
            Offset of the first unfinished record.
        end
            Offset behind the last record; it is greater.
        now
            Present time, seconds.
        """
        ends = self._ends
        if ends and ends[-1][0] > end:
            # The topic was made again.
            ends.clear()
        while ends and ends[0][0] <= offset:
            ends.popleft()
        if not ends:
            self._pause = 0.0
        if not ends or (ends[-1][0] < end and now - ends[-1][1] >= self._pause):
            ends.append((end, now))
        if len(ends) > LOOKS:
            self._pause = 2 * (now - ends[0][1]) / len(ends)
            self._ends = deque([*ends][::2])
        return ends[0][1]


class Lag:
    """Unfinished records in the partitions of a process, by topic.

    A record is unfinished from when Kafka takes it until its run may be committed. While Redis or Kafka is slow, a
    partition is held back and not fetched. The client's own end offset of it is then out of date, so Kafka is asked.

    Parameters
    ----------
    app
        App that the partitions are assigned to.
    now
        Clock, seconds since 1970.

    Attributes
    ----------
    records
        Unfinished records of all topics, when last reported.
    """

    def __init__(self, app: App, now: Callable[[], float] = time.time) -> None:
        self.records = 0
        self._app = app
        self._now = now
        self._ends: dict[TP, int] = {}
        self._seen: defaultdict[TP, Seen] = defaultdict(Seen)
        self._topics: set[str] = set()

    async def run(self) -> None:
        """Show the lag every second, until the app stops."""
        while not self._app.should_stop:
            await self.report()
            await asyncio.sleep(REPORT_SECONDS)

    async def report(self) -> None:
        """Show the lag as of now; if Kafka does not answer, use the end offsets known last."""
        ours = {tp for tp in self._app.assigned() if self._app.topics.acks_enabled_for(tp.topic)}
        self._ends = {tp: end for tp, end in self._ends.items() if tp in ours}
        for tp in self._seen.keys() - ours:
            del self._seen[tp]
        if ours:
            await self._ask(ours)
        self._topics |= {tp.topic for tp in ours}
        self.records = 0
        for topic in self._topics:
            behind = [self._behind(tp) for tp in ours if tp.topic == topic]
            waiting = sum(records for records, _ in behind)
            self.records += waiting
            metrics.LAG_RECORDS.labels(topic).set(waiting)
            metrics.LAG_SECONDS.labels(topic).set(max((seconds for _, seconds in behind), default=0.0))

    async def _ask(self, ours: set[TP]) -> None:
        consumer = self._app.consumer
        try:
            self._ends |= await asyncio.wait_for(consumer.ends(ours), ANSWER_SECONDS)
        except (KafkaError, TimeoutError) as error:
            logger.warning("Kafka does not report end offsets (%r); the lag shown may be too small", error)

    def _behind(self, tp: TP) -> tuple[int, float]:
        """Return the number of unfinished records of a partition, and the age of the first one in seconds."""
        consumer = self._app.consumer
        end = max(self._ends.get(tp, 0), consumer.highwater(tp))
        offset, taken_at = consumer.undone(tp)
        if offset is None or offset >= end:
            self._seen.pop(tp, None)
            return 0, 0.0
        # Noted also while the age is known: the next look may find the same records not fetched yet.
        seen_at = self._seen[tp].note(offset, end, self._now())
        if taken_at is None:
            taken_at = seen_at
        return end - offset, max(self._now() - taken_at, 0.0)
