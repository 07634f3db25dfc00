import inspect
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, Fetcher
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from afresh.streams.kafka import fetcher
from afresh.streams.kafka.fetcher import RunConsumerThread
from tests.streams.kafka.conftest import FETCH_MAX_WAIT_SECONDS
from tests.streams.making import record

ONE, TWO = TP("test.events", 0), TP("test.events", 1)
ROWS = TP("test.changelog", 0)


def test_records_of_a_partition_are_one_message_with_the_last_ones_offset() -> None:
    records = [record(b"%d" % offset, offset=offset, timestamp=offset * 10) for offset in (4, 5, 9)]
    run = fetcher._as_run(records)
    assert (run.topic, run.partition, run.offset, run.timestamp) == ("test.events", 0, 9, 90)
    assert run.value == records


async def test_the_thread_hands_over_a_run_for_each_partition_that_has_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetched = await fetching(monkeypatch, {ONE: [record(b"1", offset=1), record(b"2", offset=2)], TWO: []})()
    assert {tp: [run.offset for run in runs] for tp, runs in fetched.items()} == {ONE: [2]}


def fetching(
    monkeypatch: pytest.MonkeyPatch,
    fetched: dict[TP, list[Any]],
    positions: dict[TP, int | None] | None = None,
) -> Callable[[], Awaitable[dict[TP, list[Any]]]]:
    """Make a function that fetches with a thread whose client reads these offsets next."""

    async def fetch(*_: Any, **__: Any) -> Any:
        return fetched

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetch)
    monkeypatch.setattr(fetcher, "position_of", lambda _, tp: (positions or {}).get(tp))
    monkeypatch.setattr(fetcher, "PASSED_SECONDS", -1.0)
    thread: Any = RunConsumerThread.__new__(RunConsumerThread)
    thread._handed_over, thread._looked = {}, 0.0
    thread.app = SimpleNamespace(
        topics=SimpleNamespace(acks_enabled_for=lambda topic: not topic.endswith("changelog"))
    )
    return lambda: thread._fetch_records(None, {ONE, TWO, ROWS})


async def test_a_position_that_moves_without_records_is_a_run_without_records_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    positions: dict[TP, int | None] = {ONE: 5, TWO: 9, ROWS: 4}
    fetched = {ONE: [record(b"1", offset=4)]}
    fetch = fetching(monkeypatch, fetched, positions)

    async def handed_over() -> dict[TP, list[tuple[int, int]]]:
        return {tp: [(run.offset, len(run.value)) for run in runs] for tp, runs in (await fetch()).items()}

    assert await handed_over() == {ONE: [(4, 1)], TWO: [(8, 0)]}
    fetched.clear()
    assert await handed_over() == {}
    positions |= {ONE: 7, TWO: None}
    assert await handed_over() == {ONE: [(6, 0)]}
    # A rebalance has put the position back.
    positions[ONE] = 2
    assert await handed_over() == {}


async def test_the_client_leaves_out_aborted_transactions(started_thread: RunConsumerThread) -> None:
    client = started_thread._ensure_consumer()
    assert client._isolation_level == "read_committed"
    assert client._fetcher._isolation_level == READ_COMMITTED


async def test_end_offsets_are_high_watermarks_whatever_the_client_reads(
    started_thread: RunConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    async def offsets(self: Fetcher, timestamps: Any) -> dict[TP, tuple[int, None]]:
        asked.append(self._isolation_level)
        return dict.fromkeys(timestamps, (7, None))

    monkeypatch.setattr(Fetcher, "_proc_offset_requests", offsets)
    assert await started_thread.end_offsets({ONE}) == await started_thread._highwaters([ONE]) == {ONE: 7}
    assert asked == [READ_UNCOMMITTED] * 2
    assert started_thread._ensure_consumer()._fetcher._isolation_level == READ_COMMITTED


def test_a_partition_that_a_rebalance_has_just_given_or_taken_has_no_position() -> None:
    client = SimpleNamespace(_subscription=SimpleNamespace(subscription=None))
    assert fetcher.position_of(client, ONE) is None


async def test_only_heartbeats_that_the_group_answered_make_the_membership_fresh() -> None:
    answers = [False, True]

    async def heartbeat() -> bool:
        return answers.pop(0)

    coordinator = SimpleNamespace(_do_heartbeat=heartbeat)
    thread: Any = RunConsumerThread.__new__(RunConsumerThread)
    thread._note_heartbeats(coordinator)
    assert not await coordinator._do_heartbeat()
    assert thread.heartbeat_answered == float("-inf")
    assert await coordinator._do_heartbeat()
    assert thread.heartbeat_answered > float("-inf")


async def test_the_client_has_shorter_waits(started_thread: RunConsumerThread) -> None:
    client = started_thread._ensure_consumer()
    assert client._fetcher._prefetch_backoff == fetcher.PREFETCH_BACKOFF_SECONDS
    assert client._fetcher._fetch_max_wait_ms == client._fetch_max_wait_ms == FETCH_MAX_WAIT_SECONDS * 1000


async def test_an_answered_heartbeat_of_the_client_is_noted(
    started_thread: RunConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka calls the method by the name that we replace."""
    coordinator = started_thread._ensure_consumer()._coordinator

    async def answered(*_: object, **__: object) -> object:
        return SimpleNamespace(error_code=0)

    monkeypatch.setattr(coordinator, "_send_req", answered)
    assert await coordinator._do_heartbeat()
    assert started_thread.heartbeat_answered > float("-inf")
    assert "await self._do_heartbeat()" in inspect.getsource(type(coordinator))


class FakeClient:
    """A Kafka client that knows committed offsets, and records each call that rewinds."""

    def __init__(self, committed: dict[TP, int | None]) -> None:
        self.committed = committed
        self.rewound: list[set[TP]] = []

    async def seek_to_committed(self) -> dict[TP, int | None]:
        return self.committed

    async def seek_to_beginning(self, *tps: TP) -> None:
        self.rewound.append(set(tps))


async def seek(committed: dict[TP, int | None]) -> list[set[TP]]:
    client = FakeClient(committed)
    thread: Any = RunConsumerThread.__new__(RunConsumerThread)
    thread._ensure_consumer = lambda: client
    thread.app = SimpleNamespace(tables=SimpleNamespace(changelog_topics={"test.changelog"}))
    assert await thread._seek_to_committed() == committed
    return client.rewound


async def test_a_partition_without_a_committed_offset_is_read_from_the_beginning() -> None:
    three, changelog = TP("test.events", 2), TP("test.changelog", 0)
    assert await seek({ONE: 7, TWO: None, three: 0, changelog: None}) == [{TWO, three}]


async def test_no_partition_is_rewound_when_all_have_committed_offsets() -> None:
    """A call without partitions would rewind all of them."""
    assert await seek({ONE: 7, TP("test.changelog", 0): None}) == []
