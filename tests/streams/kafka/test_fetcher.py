import asyncio
import inspect
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, Fetcher
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from afresh.state.errors import StartAgainError
from afresh.streams.kafka import fetcher
from afresh.streams.kafka.fetcher import RunConsumerThread
from afresh.streams.kafka.starts import Committed, Start
from tests.streams.making import let_others_run, record

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


async def waiting_call(
    thread: RunConsumerThread, monkeypatch: pytest.MonkeyPatch, fetched: dict[TP, list[Any]]
) -> asyncio.Task[Any]:
    """Call for records for longer than any test takes; return once the call waits for the client."""

    async def fetch(*_: Any) -> Any:
        return fetched

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetch)
    client = thread._ensure_consumer()
    call = asyncio.create_task(thread._fetch_records(client, set(), timeout=3600))
    while not (client._fetcher._fetch_waiters or call.done()):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)
    return call


async def test_a_wait_ends_when_records_come_and_leaves_them_to_the_next_call(
    started_thread: RunConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: dict[TP, list[Any]] = {}
    call = await waiting_call(started_thread, monkeypatch, fetched)
    fetched[ONE] = [record(b"1", offset=1)]
    # As the client does when it has fetched something.
    client = started_thread._ensure_consumer()
    for waiter in client._fetcher._fetch_waiters:
        client._fetcher._notify(waiter)
    assert await call == {}
    assert (await started_thread._fetch_records(client, set(), timeout=3600)).keys() == {ONE}
    assert not client._fetcher._fetch_waiters


async def test_a_wait_ends_when_other_partitions_may_be_read(
    started_thread: RunConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(started_thread, "thread_loop", asyncio.get_running_loop())
    call = await waiting_call(started_thread, monkeypatch, {})
    started_thread.look_again()
    assert await call == {}


async def test_a_wait_that_was_asked_for_before_partitions_were_released_does_not_begin(
    started_thread: RunConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(started_thread, "thread_loop", asyncio.get_running_loop())
    started_thread.look_again()
    await asyncio.sleep(0)
    call = await waiting_call(started_thread, monkeypatch, {})
    assert call.done()
    assert call.result() == {}


async def test_a_wait_ends_with_what_kafka_refuses(
    started_thread: RunConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka tells those who wait, and nobody else."""
    call = await waiting_call(started_thread, monkeypatch, {})
    started_thread._ensure_consumer()._subscription.abort_waiters(GroupAuthorizationFailedError("test"))
    with pytest.raises(GroupAuthorizationFailedError):
        await call


def test_nobody_is_told_to_look_again_once_the_thread_has_ended() -> None:
    thread: Any = RunConsumerThread.__new__(RunConsumerThread)
    loop = thread.thread_loop = asyncio.new_event_loop()
    loop.close()
    thread.look_again()


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
        self.sought: dict[TP, int] = {}

    def seek(self, tp: TP, offset: int) -> None:
        self.sought[tp] = offset

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


async def test_a_partition_goes_on_at_its_start_until_something_else_was_committed() -> None:
    client = FakeClient({ONE: 200, TWO: 7})
    thread: Any = RunConsumerThread.__new__(RunConsumerThread)
    thread._ensure_consumer = lambda: client
    thread.app = SimpleNamespace(tables=SimpleNamespace(changelog_topics=set()))
    thread.starts = {ONE: Start(200, 0)}
    assert await thread._seek_to_committed() == {ONE: 0, TWO: 7}
    assert client.sought == {ONE: 0}
    client.committed[ONE], client.sought = 40, {}
    assert await thread._seek_to_committed() == {ONE: 40, TWO: 7}
    assert client.sought == {}


class OutOfRange:
    """A Kafka client whose logs begin elsewhere than at the position."""

    def __init__(self, begins: dict[TP, int], position: int = 5) -> None:
        self.begins = begins
        self.at = position
        self.sought: dict[TP, int] = {}

    async def beginning_offsets(self, tps: list[TP]) -> dict[TP, int]:
        return {tp: self.begins[tp] for tp in tps}

    async def position(self, tp: TP) -> int:
        return self.at

    def assignment(self) -> set[TP]:
        return set(self.begins)

    def seek(self, tp: TP, offset: int) -> None:
        self.sought[tp] = offset


def out_of_range(client: OutOfRange, monkeypatch: pytest.MonkeyPatch, error: Exception) -> Any:
    async def fetch(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetch)
    thread: Any = RunConsumerThread.__new__(RunConsumerThread)
    thread._ensure_consumer = lambda: client
    thread.app = SimpleNamespace(tables=SimpleNamespace(changelog_topics={"test.changelog"}))
    return thread


async def test_records_that_were_removed_before_they_were_read_are_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = OutOfRange({ONE: 9})
    thread = out_of_range(client, monkeypatch, OffsetOutOfRangeError({ONE: 5, TWO: 5}))
    client.begins = {ONE: 9, TWO: 9}
    client.assignment = lambda: {ONE}  # type: ignore[method-assign]
    assert await thread._fetch_records(None, set()) == {}
    assert client.sought == {ONE: 9}
    assert "4 records of test.events-0 were removed before they were read" in caplog.text


async def test_a_log_that_ends_before_the_position_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for tp in (ONE, TP("test.changelog", 0)):
        client = OutOfRange({tp: 0})
        thread = out_of_range(client, monkeypatch, OffsetOutOfRangeError({tp: 5}))
        with pytest.raises(StartAgainError, match="has no offset 5 any more"):
            await thread._fetch_records(None, set())
        assert client.sought == {}


async def test_a_changelog_is_read_from_where_it_begins_and_none_of_its_records_counts_as_unread(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Faust seeks to just before the beginning."""
    client = OutOfRange({TP("test.changelog", 0): 9}, position=8)
    await out_of_range(
        client, monkeypatch, OffsetOutOfRangeError({TP("test.changelog", 0): 8})
    )._fetch_records(None, set())
    assert client.sought == {TP("test.changelog", 0): 9}
    assert not caplog.text


async def test_a_partition_that_was_moved_in_the_meantime_stays_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = OutOfRange({ONE: 0}, position=2)
    assert (
        await out_of_range(client, monkeypatch, OffsetOutOfRangeError({ONE: 5}))._fetch_records(None, set())
        == {}
    )
    assert client.sought == {}


async def test_a_partition_without_a_position_yet_has_nothing_to_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (
        await out_of_range(OutOfRange({}), monkeypatch, NoOffsetForPartitionError(ONE))._fetch_records(
            None, set()
        )
        == {}
    )


async def test_a_committed_offset_names_the_incarnation_of_its_topic(
    started_thread: RunConsumerThread,
) -> None:
    client, said = started_thread._ensure_consumer(), list[Any]()

    async def commit(offsets: Any) -> None:
        said.append(offsets)

    client.commit = commit
    started_thread.app.incarnations.learn({ONE.topic: 7})  # type: ignore[attr-defined]
    started_thread._note_commits(client)
    await client.commit({ONE: OffsetAndMetadata(5, "")})
    assert said == [{ONE: OffsetAndMetadata(5, "7")}]


@pytest.mark.parametrize(
    ("found", "again"),
    [
        ({ONE: OffsetAndMetadata(5, "6")}, OffsetAndMetadata(5, "6")),
        ({ONE: OffsetAndMetadata(-1, "")}, OffsetAndMetadata(0, "7")),
        ({}, OffsetAndMetadata(0, "7")),
    ],
)
async def test_an_offset_is_committed_again_just_as_it_is_also_that_of_a_topic_that_was_made_again(
    started_thread: RunConsumerThread, monkeypatch: pytest.MonkeyPatch, found: Any, again: OffsetAndMetadata
) -> None:
    client, said = started_thread._ensure_consumer(), list[Any]()
    app: Any = started_thread.app
    app.incarnations.learn({ONE.topic: 7})
    monkeypatch.setattr(app.writes, "taken", lambda: said.append("taken"))

    async def commit(_: Any, offsets: Any) -> None:
        said.append(offsets)

    async def fetch(_: Any) -> Any:
        return found

    monkeypatch.setattr(type(client), "commit", commit)
    monkeypatch.setattr(client._coordinator, "fetch_committed_offsets", fetch)
    await started_thread.commit_again(ONE)
    assert said == [{ONE: again}, "taken"]


async def test_an_offset_that_is_committed_again_does_not_overtake_a_later_one(
    started_thread: RunConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, order = started_thread._ensure_consumer(), list[int]()
    committing, taken = asyncio.Event(), asyncio.Event()

    async def slow(offsets: Any) -> None:
        committing.set()
        await taken.wait()
        order.append(offsets[ONE].offset)

    async def commit(_: Any, offsets: Any) -> None:
        order.append(offsets[ONE].offset)

    async def fetch(_: Any) -> Any:
        return {ONE: OffsetAndMetadata(order[-1] if order else 5, "")}

    client.commit = slow
    started_thread._note_commits(client)
    monkeypatch.setattr(type(client), "commit", commit)
    monkeypatch.setattr(client._coordinator, "fetch_committed_offsets", fetch)
    later = asyncio.create_task(client.commit({ONE: OffsetAndMetadata(9, "")}))
    await committing.wait()
    again = asyncio.create_task(started_thread.commit_again(ONE))
    await let_others_run()
    taken.set()
    await asyncio.gather(later, again)
    assert order == [9, 9]


async def test_the_incarnation_of_a_committed_offset_is_read_again() -> None:
    three, four = TP("test.events", 2), TP("test.events", 3)

    class Coordinator:
        async def fetch_committed_offsets(self, _: Any) -> dict[TP, OffsetAndMetadata]:
            return {
                ONE: OffsetAndMetadata(5, "7"),
                TWO: OffsetAndMetadata(6, ""),
                three: OffsetAndMetadata(-1, ""),
            }

    thread: Any = RunConsumerThread.__new__(RunConsumerThread)
    thread._ensure_consumer = lambda: SimpleNamespace(_coordinator=Coordinator())
    found = await thread._committed([ONE, TWO, three, four])
    assert found == {ONE: Committed(5, 7), TWO: Committed(6, 0), three: None, four: None}


async def test_a_partition_without_a_committed_offset_is_read_from_the_beginning() -> None:
    three, changelog = TP("test.events", 2), TP("test.changelog", 0)
    assert await seek({ONE: 7, TWO: None, three: 0, changelog: None}) == [{TWO, three}]


async def test_no_partition_is_rewound_when_all_have_committed_offsets() -> None:
    """A call without partitions would rewind all of them."""
    assert await seek({ONE: 7, TP("test.changelog", 0): None}) == []


async def test_a_group_that_our_user_may_not_read_ends_the_process_and_the_client_learns_of_it_too(
    started_thread: RunConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka would keep the error until somebody asks for records, which Faust does not before it is assigned any."""
    ends: list[BaseException] = []
    crashed = asyncio.Event()

    async def crash(reason: BaseException) -> None:
        ends.append(reason)
        crashed.set()

    monkeypatch.setattr(started_thread.app, "crash", crash)
    monkeypatch.setattr(started_thread.app, "loop", asyncio.get_running_loop())
    coordinator = started_thread._ensure_consumer()._coordinator
    for error in (KafkaConnectionError(), GroupAuthorizationFailedError("test")):
        coordinator._push_error_to_user(error).close()
        assert isinstance(coordinator._pending_exception, type(error))
    await crashed.wait()
    assert [type(end) for end in ends] == [GroupAuthorizationFailedError]
    assert "await self._push_error_to_user(exc)" in inspect.getsource(type(coordinator))
