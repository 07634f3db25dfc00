import asyncio
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP
from prometheus_client import REGISTRY

from afresh.streams.kafka import lag as module
from afresh.streams.kafka.lag import Lag

EVENTS, MORE, OTHER, ROWS = TP("lag.events", 0), TP("lag.events", 1), TP("lag.items", 0), TP("lag.rows", 0)
NOW = 1000.0


class Kafka:
    """End offsets of partitions, the progress of a process in them, and a clock."""

    def __init__(self) -> None:
        self.now = NOW
        self.ours = {EVENTS, MORE, OTHER, ROWS}
        self.end = {EVENTS: 10, MORE: 10, OTHER: 10}
        self.done: dict[TP, tuple[int | None, float | None]] = dict.fromkeys(self.end, (10, None))
        self.fetched = 0
        self.answers = True
        self.failures: list[Exception] = []
        app = SimpleNamespace(
            assigned=lambda: self.ours,
            topics=SimpleNamespace(acks_enabled_for=lambda topic: topic != ROWS.topic),
            consumer=SimpleNamespace(
                ends=self._ends, undone=lambda tp: self.done[tp], highwater=self._fetched
            ),
        )
        self.lag = Lag(app, lambda: self.now)  # type: ignore[arg-type]

    def _fetched(self, tp: TP) -> int:
        return self.fetched

    async def _ends(self, tps: Collection[TP]) -> dict[TP, int]:
        assert tps, "Kafka is not asked about anything"
        if self.failures:
            raise self.failures.pop()
        if not self.answers:
            await asyncio.Event().wait()
        return {tp: self.end[tp] for tp in tps}

    async def shown(self, topic: str = EVENTS.topic) -> tuple[Any, Any]:
        await self.lag.report()
        labels = {"topic": topic}
        records = REGISTRY.get_sample_value("afresh_lag_records", labels)
        return records, REGISTRY.get_sample_value("afresh_lag_seconds", labels)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.01)
    return Kafka()


async def test_the_lag_is_the_number_of_unfinished_records_and_the_age_of_the_oldest(kafka: Kafka) -> None:
    kafka.done |= {EVENTS: (4, NOW - 7.5), MORE: (9, NOW - 3.0)}
    assert await kafka.shown() == (7, 7.5)
    assert await kafka.shown(OTHER.topic) == (0, 0)


async def test_the_lag_grows_while_nothing_is_taken_in(kafka: Kafka) -> None:
    kafka.done[EVENTS] = 4, NOW
    for seconds in (1, 2, 3):
        kafka.now, kafka.end[EVENTS] = NOW + seconds, 10 + seconds
        assert await kafka.shown() == (6 + seconds, seconds)


async def test_records_not_fetched_yet_age_from_when_they_were_first_seen(kafka: Kafka) -> None:
    kafka.done[EVENTS] = 4, None
    assert await kafka.shown() == (6, 0)
    kafka.now += 9
    assert await kafka.shown() == (6, 9)
    kafka.done[EVENTS] = 10, None
    assert await kafka.shown() == (0, 0)
    kafka.end[EVENTS] = 11
    assert await kafka.shown() == (1, 0)


async def test_records_that_are_worked_off_steadily_are_no_older_than_they_are(kafka: Kafka) -> None:
    for second in range(60):
        kafka.now, kafka.end[EVENTS], kafka.done[EVENTS] = (
            NOW + second,
            10 + 5 * second,
            (8 + 5 * second, None),
        )
        assert await kafka.shown() == (2, 0)


async def test_a_backlog_that_is_worked_off_as_fast_as_it_grows_keeps_its_age(kafka: Kafka) -> None:
    kafka.done[EVENTS] = 5, None
    for second in range(3 * module.LOOKS):
        # Between runs the first record is known by its offset alone.
        known = NOW + second - 30 if second % 2 else None
        kafka.now, kafka.end[EVENTS] = NOW + second, 10 + 5 * second
        kafka.done[EVENTS] = max(5, 7 + 5 * (second - 30)), known
        _, age = await kafka.shown()
        if second > 30:
            assert age == 30


async def test_hours_of_standing_still_are_remembered_in_bounds(kafka: Kafka) -> None:
    seen = module.Seen()
    for second in range(20_000):
        assert seen.note(3, 10 + second, NOW + second) == NOW
    assert len(seen._ends) <= module.LOOKS
    assert NOW + 9_990 <= seen.note(10_000, 20_010, NOW + 20_000) <= NOW + 10_100


async def test_the_lag_is_zero_once_all_is_done_even_beyond_the_known_end(kafka: Kafka) -> None:
    kafka.done |= {EVENTS: (12, None), MORE: (None, None)}
    assert await kafka.shown() == (0, 0)


async def test_a_partition_that_left_does_not_count_in_our_lag(kafka: Kafka) -> None:
    kafka.done |= {EVENTS: (4, NOW), MORE: (9, NOW)}
    assert await kafka.shown() == (7, 0)
    kafka.ours = {MORE}
    assert await kafka.shown() == (1, 0)
    kafka.ours = set()
    assert await kafka.shown() == (0, 0)


@pytest.mark.parametrize("failure", [KafkaConnectionError(), None])
async def test_while_kafka_is_silent_the_known_lag_grows_older_and_is_worked_off(
    kafka: Kafka, failure: Exception | None
) -> None:
    kafka.done[EVENTS] = 4, NOW
    assert await kafka.shown() == (6, 0)
    kafka.answers, kafka.end[EVENTS] = False, 99
    for done, seconds in ((5, 1), (6, 2)):
        kafka.failures = [failure] if failure else []
        kafka.done[EVENTS], kafka.now = (done, NOW), NOW + seconds
        assert await kafka.shown() == (10 - done, seconds)
    kafka.fetched = 12
    assert await kafka.shown() == (12 - 6 + 2, 2), "what the client has fetched is known without asking"
