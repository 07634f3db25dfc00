import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from faust.transport.consumer import Consumer, ThreadDelegateConsumer
from faust.types import TP
from faust.types.tuples import Message
from hypothesis import given
from hypothesis import strategies as st

from afresh.state.errors import StartAgainError
from afresh.streams.kafka import transport
from afresh.streams.kafka.fetcher import RunConsumerThread
from afresh.streams.kafka.polls import SHORT_SECONDS
from afresh.streams.kafka.transport import RunConsumer
from tests.streams.kafka.making import (
    ONE,
    ROWS,
    TWO,
    bare_consumer,
    draining_consumer,
    handed_over,
    message,
    suspended_consumer,
)


def test_membership_is_fresh_within_the_session_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = bare_consumer()
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    for answered, fresh in ((float("-inf"), False), (90.0, False), (90.1, True), (100.0, True)):
        consumer._thread.heartbeat_answered = answered
        assert consumer.membership_is_fresh() is fresh


@given(st.lists(st.integers(0, 5), unique=True, max_size=6))
def test_the_offset_to_commit_ends_before_the_first_unacknowledged_run(acked: list[int]) -> None:
    runs = [message(offset) for offset in (9, 12, 13, 40, 41, 99)]
    consumer, committed = bare_consumer(*runs), None
    done: set[int] = set()
    for place in acked:
        consumer.ack(runs[place])
        done.add(place)
        before = next(place for place in range(7) if place not in done)
        expected = runs[before - 1].offset + 1 if before else None
        found = consumer._new_offset(ONE)
        committed = found or committed
        assert committed == expected
    assert len(consumer._delivered[ONE]) == 6 - next(place for place in range(7) if place not in done)


def test_an_offset_is_committed_once() -> None:
    run = message(7)
    consumer = bare_consumer(run)
    consumer.ack(run)
    assert consumer._new_offset(ONE) == 8
    assert consumer._new_offset(ONE) is None
    assert consumer._new_offset(TWO) is None


def test_only_partitions_with_a_finished_first_run_have_something_to_commit() -> None:
    first, second, other = message(1), message(2), message(1, TWO)
    consumer = bare_consumer(first, second, other)
    consumer.ack(second)
    consumer.ack(other)
    assert list(consumer._filter_tps_with_pending_acks()) == [TWO]
    consumer.ack(first)
    assert set(consumer._filter_tps_with_pending_acks()) == {ONE, TWO}
    assert list(consumer._filter_tps_with_pending_acks({ONE})) == [ONE]
    assert set(consumer._filter_tps_with_pending_acks({"test.events"})) == {ONE, TWO}
    assert list(consumer._filter_tps_with_pending_acks({"others"})) == []


@pytest.fixture
def rebalances(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []

    async def revoked(self: Any, tps: set[TP]) -> None:
        told.append("revoked")

    async def assigned(self: Any, tps: set[TP], generation_id: int = 0) -> None:
        told.append(f"assigned {generation_id}")

    monkeypatch.setattr(Consumer, "on_partitions_revoked", revoked)
    monkeypatch.setattr(Consumer, "on_partitions_assigned", assigned)
    return told


async def test_a_run_of_a_partition_that_left_is_not_committed_when_it_is_done(rebalances: list[str]) -> None:
    leaves, stays = message(1), message(5, TWO)
    consumer = bare_consumer(leaves, stays)
    await consumer.on_partitions_revoked({ONE})
    consumer.ack(leaves)
    consumer.ack(stays)
    assert (consumer._new_offset(ONE), consumer._new_offset(TWO)) == (None, 6)
    assert rebalances == ["revoked"]


async def test_runs_from_before_an_assignment_are_not_committed_and_read_again(rebalances: list[str]) -> None:
    before, after = message(1), message(1)
    consumer = bare_consumer(before)
    await consumer.on_partitions_assigned({ONE}, 4)
    consumer.ack(before)
    consumer._delivered[ONE].append(handed_over(after))
    assert consumer._new_offset(ONE) is None
    consumer.ack(after)
    assert consumer._new_offset(ONE) == 2
    assert rebalances == ["assigned 4"]
    assert consumer._thread.heartbeat_answered > float("-inf")


@pytest.mark.parametrize(("taken", "waiting"), [(True, {TWO}), (False, {ONE, TWO})])
async def test_a_partition_ages_until_kafka_has_taken_its_last_commit(
    taken: bool, waiting: set[TP], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def commit(self: Any, offsets: dict[TP, int]) -> bool:
        return taken

    monkeypatch.setattr(ThreadDelegateConsumer, "_commit", commit)
    first, other, last = message(1), message(4, TWO), message(5, TWO)
    consumer = bare_consumer(first, other, last)
    for run in (first, other):
        consumer.commit_ages.delivered(run.tp)
        consumer.ack(run)
    offsets = {tp: consumer._new_offset(tp) for tp in (ONE, TWO)}
    assert await consumer._commit(offsets) is taken
    assert (set(consumer.commit_ages._since), consumer.last_commit_taken) == (waiting, taken)


async def test_gaps_in_the_offsets_need_no_bookkeeping() -> None:
    first, second = message(1), message(1_000_000)
    consumer = bare_consumer(first, second)
    await consumer._add_gap(ONE, 2, 1_000_000)
    consumer.ack(first)
    consumer.ack(second)
    assert consumer._new_offset(ONE) == 1_000_001


async def test_while_every_partition_is_held_back_the_consumer_waits_only_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    consumer = bare_consumer()
    consumer.flow_active = True
    consumer._get_active_partitions = set
    consumer._thread.released = True
    assert await consumer._wait_next_records(1.0) == ({}, set())
    assert slept == [transport.HELD_BACK_SECONDS]
    assert not consumer._thread.released, "what is asked for now knows of it"


async def test_during_a_rebalance_only_the_changelogs_of_active_partitions_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Faust empties all queues as its last step: records of sources and of standbys would be lost."""
    asked: list[Any] = []

    async def getmany(self: Any, active_partitions: Any, timeout: float) -> dict[TP, Any]:
        asked.append((active_partitions, timeout))
        return {}

    monkeypatch.setattr(ThreadDelegateConsumer, "_getmany", getmany)
    consumer = bare_consumer()
    active, standby = TP("test.changelog", 0), TP("test.changelog", 1)
    consumer.app.rebalancing = True
    consumer.app.tables = SimpleNamespace(recovery=SimpleNamespace(active_tps={active}))
    await consumer._getmany({ONE, active, standby}, 1.0)
    await consumer._getmany({ONE, standby}, 1.0)
    consumer.app.rebalancing = False
    await consumer._getmany({ONE, active, standby}, 1.0)
    assert asked == [({active}, SHORT_SECONDS), ({ONE, active, standby}, 1.0)]


async def test_a_delivery_is_cancelled_when_the_flow_is_suspended() -> None:
    outcomes: list[str] = []

    async def callback(_: Message) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcomes.append("given up")
            raise

    consumer = suspended_consumer(callback)
    delivering = asyncio.create_task(consumer._deliver(message(1)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not delivering.done()
    consumer.suspend_flow.set()
    await delivering
    await asyncio.sleep(0)
    assert outcomes == ["given up"]


@pytest.mark.parametrize("active", [False, True])
async def test_a_run_is_delivered_and_its_failure_is_raised(active: bool) -> None:
    delivered: list[int] = []

    async def callback(run: Message) -> None:
        await asyncio.sleep(0)
        delivered.append(run.offset)
        if run.offset == 2:
            raise ZeroDivisionError

    consumer = suspended_consumer(callback)
    if active:
        consumer.app.flow_control.resume()
    await consumer._deliver(message(1))
    with pytest.raises(ZeroDivisionError):
        await consumer._deliver(message(2))
    assert delivered == [1, 2]


RUNNING = SimpleNamespace(should_stop=False)


def test_what_may_be_read_changes_and_the_wait_for_records_ends() -> None:
    consumer, told = bare_consumer(), list[set[TP]]()
    consumer.app.in_recovery = False
    consumer._active_partitions, consumer._buffered_partitions = {ONE, TWO}, set()
    consumer.can_resume_flow, consumer.suspend_flow = asyncio.Event(), asyncio.Event()
    consumer._thread.look_again = lambda: told.append(set(consumer._active_partitions))
    consumer.on_buffer_drop(ONE)
    consumer.on_buffer_full(ONE)
    assert told == [], "nothing was held back before"
    consumer.on_buffer_drop(ONE)
    assert told == [{ONE, TWO}]
    consumer.stop_flow()
    assert len(told) == 2
    assert not consumer.flow_active


async def test_runs_with_offsets_already_read_are_not_delivered_again() -> None:
    polls = [message(3), message(1, TWO)], [message(2), message(5)]
    consumer = draining_consumer(*polls, asyncio.CancelledError(), stopping=True)
    await consumer._drain_messages(RUNNING)
    assert consumer.delivered == [(0, 3), (1, 1), (0, 5)]
    assert dict(consumer._read_offset) == {ONE: 5, TWO: 1}


async def test_delivered_runs_are_remembered_if_their_offsets_will_be_committed() -> None:
    changelog = message(4, TP("test.changelog", 0))
    polls = [message(3), changelog], [message(2), message(5)]
    consumer = draining_consumer(*polls, asyncio.CancelledError(), stopping=True)
    await consumer._drain_messages(RUNNING)
    remembered = {tp: [run.message.offset for run in runs] for tp, runs in consumer._delivered.items()}
    assert remembered == {ONE: [3, 5]}
    for run in consumer._delivered[ONE]:
        consumer.ack(run.message)
    assert consumer._new_offset(ONE) == 6


async def test_a_stopping_fetcher_delivers_nothing_more() -> None:
    consumer = draining_consumer([message(1)])
    await consumer._drain_messages(SimpleNamespace(should_stop=True))
    assert consumer.delivered == []


@pytest.mark.parametrize("stopped", [asyncio.CancelledError, *RunConsumer.consumer_stopped_errors])
async def test_a_stopped_client_is_an_error_unless_the_app_stops(stopped: type[BaseException]) -> None:
    await draining_consumer(stopped(), stopping=True)._drain_messages(RUNNING)
    with pytest.raises(stopped):
        await draining_consumer(stopped())._drain_messages(RUNNING)


async def test_every_other_failure_is_an_error_even_while_the_app_stops() -> None:
    with pytest.raises(ZeroDivisionError):
        await draining_consumer(ZeroDivisionError(), stopping=True)._drain_messages(RUNNING)


@pytest.mark.parametrize("gone", [AssertionError("Partition is not assigned"), AttributeError("highwater")])
def test_a_partition_that_a_rebalance_has_just_taken_away_has_no_highwater(gone: Exception) -> None:
    """The error ended the task of the run. Each run behind it awaited that task, and failed silently."""

    def highwater(tp: TP) -> int:
        raise gone

    consumer = bare_consumer()
    consumer._thread.highwater = highwater
    assert consumer.highwater(ONE) == 0
    consumer._thread.highwater = {ONE: 7, TWO: None}.get
    assert (consumer.highwater(ONE), consumer.highwater(TWO)) == (7, 0)


@pytest.mark.parametrize("unknown", [AssertionError(), AttributeError("highwater")])
def test_a_partition_that_a_rebalance_has_just_given_or_taken_is_not_verified(unknown: Exception) -> None:
    looked: list[TP] = []

    def look(now: float, tp: TP) -> None:
        looked.append(tp)
        raise unknown

    consumer = bare_consumer()
    consumer._thread.verify_event_path = look
    consumer.verify_event_path(1.0, ONE)
    assert looked == [ONE]


def test_all_partitions_are_verified_in_one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer, verified = bare_consumer(), set[TP]()
    monkeypatch.setattr(consumer, "assignment", lambda: {ONE, TWO})
    monkeypatch.setattr(consumer, "verify_event_path", lambda _, tp: verified.add(tp))
    with pytest.raises(StopIteration):
        consumer.verify_all_partitions_active().send(None)
    assert verified == {ONE, TWO}


def test_nothing_is_assigned_before_the_fetching_thread_has_started() -> None:
    consumer = bare_consumer()
    consumer._thread = RunConsumerThread.__new__(RunConsumerThread)
    consumer._thread._consumer = None
    assert consumer.assignment() == set()


def standing_at(position: int | None) -> Any:
    """Make the fetching thread of a client that reads this offset next in every partition."""

    class State:
        @property
        def position(self) -> int:
            assert position is not None
            return position

    assignment = SimpleNamespace(state_value=lambda tp: State())
    client = SimpleNamespace(
        _subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
    )
    return SimpleNamespace(_ensure_consumer=lambda: client)


def test_unfinished_records_begin_at_the_first_run_that_may_not_be_committed() -> None:
    first, second = message(3), message(8)
    consumer = bare_consumer(first, second)
    consumer._thread = standing_at(9)
    assert consumer.undone(ONE) == (3, 3.0)
    consumer.ack(first)
    assert consumer.undone(ONE) == (8, 8.0)
    consumer.ack(second)
    assert consumer.undone(ONE) == consumer.undone(TWO) == (9, None)


@pytest.mark.parametrize("thread", [standing_at(None), SimpleNamespace(_ensure_consumer=lambda: None)])
def test_a_partition_that_a_rebalance_has_just_given_or_taken_has_no_position(thread: Any) -> None:
    consumer = bare_consumer()
    consumer._thread = thread
    assert consumer.undone(ONE) == (None, None)


def passed(end: int, tp: TP = ONE) -> Message:
    """Make the message of a run without records: it stands behind markers and aborted records."""
    nothing: Any = ()
    return Message(tp.topic, tp.partition, end - 1, 0.0, 0, None, None, nothing, None, tp=tp)


async def test_markers_and_aborted_records_are_committed_once_every_run_before_them_is_done() -> None:
    run, after = message(3), message(20)
    consumer = draining_consumer([run, passed(9), after], asyncio.CancelledError(), stopping=True)
    await consumer._drain_messages(RUNNING)
    assert consumer.delivered == [(0, 3), (0, 20)]
    assert consumer._new_offset(ONE) is None
    consumer.ack(run)
    assert list(consumer._filter_tps_with_pending_acks()) == [ONE]
    assert consumer._new_offset(ONE) == 9
    consumer.ack(after)
    assert consumer._new_offset(ONE) == 21


def reading_up_to(stable: int | None) -> Any:
    """Make the fetching thread of a client that may read up to this offset."""
    client = SimpleNamespace(last_stable_offset=lambda tp: stable)
    return SimpleNamespace(_ensure_consumer=lambda: client)


def test_what_waits_ends_at_the_last_stable_offset_and_begins_behind_aborted_records() -> None:
    consumer = bare_consumer()
    consumer._thread = reading_up_to(5000)
    assert consumer.waiting(ONE, 3000) == 2000
    consumer._passed[ONE] = 5000
    assert consumer.waiting(ONE, 3000) == 0
    consumer._thread = reading_up_to(None)
    assert consumer.waiting(TWO, 3000) == 0


@pytest.mark.parametrize("gone", [AssertionError("Partition is not assigned"), AttributeError("lso")])
def test_nothing_waits_in_a_partition_that_a_rebalance_has_just_taken_away(gone: Exception) -> None:
    def last_stable_offset(tp: TP) -> int:
        raise gone

    consumer = bare_consumer()
    client = SimpleNamespace(last_stable_offset=last_stable_offset)
    consumer._thread = SimpleNamespace(_ensure_consumer=lambda: client)
    assert consumer.waiting(ONE, 0) == 0


async def test_a_rebalance_forgets_what_was_passed(rebalances: list[str]) -> None:
    consumer = bare_consumer()
    for each in (ONE, TWO):
        consumer._pass(each, passed(5, each))
    await consumer.on_partitions_revoked({ONE})
    assert consumer._passed == {TWO: 5}
    await consumer.on_partitions_assigned({ONE, TWO}, 4)
    assert (consumer._passed, consumer._new_offset(TWO)) == ({}, None)


async def test_the_fetching_thread_asks_kafka_for_end_offsets_and_can_be_cancelled() -> None:
    loop, given_up = asyncio.new_event_loop(), threading.Event()

    async def end_offsets(tps: set[TP]) -> dict[TP, int]:
        assert asyncio.get_running_loop() is loop
        if tps == {TWO}:
            try:
                await asyncio.Event().wait()
            finally:
                given_up.set()
        return dict.fromkeys(tps, 7)

    consumer = bare_consumer()
    consumer._thread = SimpleNamespace(thread_loop=loop, end_offsets=end_offsets)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    assert await consumer.ends({ONE}) == {ONE: 7}
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(consumer.ends({TWO}), 0.01)
    assert await asyncio.to_thread(given_up.wait, 10.0)
    loop.call_soon_threadsafe(loop.stop)
    await asyncio.to_thread(thread.join)
    loop.close()


@pytest.mark.parametrize(("ours", "asked"), [({ROWS, TWO, ONE}, [ONE]), ({ROWS}, [])])
async def test_a_source_partition_is_committed_again_and_where_there_is_none_kafka_owes_nothing(
    ours: set[TP], asked: list[TP], monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer, found = bare_consumer(), list[TP]()

    async def commit_again(tp: TP) -> None:
        found.append(tp)

    async def at_once(coroutine: Any) -> None:
        await coroutine

    taken: list[None] = []
    consumer.app.writes.taken = lambda: taken.append(None)
    consumer.app.topics = SimpleNamespace(acks_enabled_for=lambda topic: topic != ROWS.topic)
    consumer._thread = SimpleNamespace(commit_again=commit_again)
    monkeypatch.setattr(RunConsumer, "assignment", lambda _: ours)
    monkeypatch.setattr(consumer, "_at_once", at_once)
    await consumer.commit_again()
    assert (found, len(taken)) == (asked, 0 if asked else 1)


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (TopicAuthorizationFailedError("test.events"), 1),
        (StartAgainError("again"), 1),
        (KafkaConnectionError(), 0),
    ],
)
async def test_what_a_person_must_mend_ends_the_process_when_records_are_fetched(
    monkeypatch: pytest.MonkeyPatch, error: Exception, ends: int
) -> None:
    crashed: list[BaseException] = []

    async def getmany(*_: Any) -> Any:
        raise error

    async def crash(reason: BaseException) -> None:
        crashed.append(reason)

    monkeypatch.setattr(ThreadDelegateConsumer, "_getmany", getmany)
    consumer = bare_consumer()
    consumer.app.rebalancing, consumer.app.crash = False, crash
    with pytest.raises(type(error)):
        await consumer._getmany({ONE}, 1.0)
    assert crashed == [error] * ends
