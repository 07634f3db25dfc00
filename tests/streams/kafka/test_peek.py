from __future__ import annotations

from typing import Any, ClassVar

import pytest
from aiokafka import TopicPartition
from faust.types import TP

from afresh.streams.kafka import peek as module
from afresh.streams.kafka.peek import peek
from afresh.streams.settings import Settings
from tests.streams.making import record

ONE, TWO = TP("test.events", 0), TP("test.events", 1)


class FakeConsumer:
    """A consumer of logs in memory, which hands out one record at a time."""

    logs: ClassVar[dict[TP, dict[int, Any]]] = {}
    ends: ClassVar[dict[TP, int]] = {}
    open = 0

    def __init__(self, **options: Any) -> None:
        assert options["isolation_level"] == "read_committed"
        self.positions: dict[TP, int] = {}

    async def start(self) -> None:
        FakeConsumer.open += 1

    async def stop(self) -> None:
        FakeConsumer.open -= 1

    def assign(self, places: list[TopicPartition]) -> None:
        assert places

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.positions[TP(*place)] = offset

    async def position(self, place: TopicPartition) -> int:
        return self.positions[TP(*place)]

    async def getmany(self, *places: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        fetched = {}
        for place in places:
            tp = TP(*place)
            offset = min((each for each in self.logs[tp] if each >= self.positions[tp]), default=None)
            self.positions[tp] = self.ends[tp] if offset is None else offset + 1
            fetched[place] = [] if offset is None else [self.logs[tp][offset]]
        return fetched


async def test_the_first_two_records_of_each_range_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AIOKafkaConsumer", FakeConsumer)
    FakeConsumer.logs = {
        ONE: {offset: record(b"", offset=offset) for offset in (3, 7, 8, 9)},
        TWO: {offset: record(b"", offset=offset) for offset in (2, 20)},
    }
    FakeConsumer.ends = {ONE: 10, TWO: 30}
    found = await peek(Settings(_env_file=None), {ONE: range(3, 10), TWO: range(5, 15)})
    assert {tp: [each.offset for each in records] for tp, records in found.items()} == {ONE: [3, 7], TWO: []}
    assert FakeConsumer.open == 0


async def test_nothing_is_asked_for_nothing() -> None:
    assert await peek(Settings(_env_file=None), {}) == {}


async def test_a_silent_log_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AIOKafkaConsumer", FakeConsumer)
    monkeypatch.setattr(module, "PEEK_SECONDS", -1.0)
    FakeConsumer.logs, FakeConsumer.ends = {ONE: {}}, {ONE: 0}
    assert await peek(Settings(_env_file=None), {ONE: range(3, 10)}) == {ONE: []}
