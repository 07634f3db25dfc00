import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced, TopicAuthorizationFailedError
from faust.types import TP
from prometheus_client import REGISTRY

from afresh.state.errors import AfreshError
from afresh.streams.kafka.app import create_app
from afresh.streams.kafka.sender import FencedError, Outgoing, Sender
from afresh.streams.kafka.tables import RunTable
from afresh.streams.kafka.writes import Writes
from afresh.streams.runs import runner as runs
from afresh.streams.runs.run import Assignment, Owned, Run, RunDroppedError
from afresh.streams.runs.runner import Runner
from afresh.streams.settings import Settings
from tests.streams.making import GENERATION, FakeEvent, FakeProducer, record, run_of

CHANGELOG = "test.rows.changelog"
REAL_SLEEP = asyncio.sleep
LEFT, RIGHT = TP("test.events", 0), TP("test.events", 1)
REST_SECONDS = 7.0


class FakeConsumer:
    """The part of a consumer that a runner needs: our partitions, and the ones held back."""

    def __init__(self, app: "FakeApp") -> None:
        self.app = app
        self.held_back: set[TP] = set()

    def membership_is_fresh(self) -> bool:
        return self.app.fresh()

    def waiting(self, tp: TP, done: int) -> int:
        return 13 - done

    def assignment(self) -> set[TP]:
        return self.app.ours

    def on_buffer_full(self, tp: TP) -> None:
        self.held_back.add(tp)

    def on_buffer_drop(self, tp: TP) -> None:
        self.held_back.discard(tp)


class FakeApp:
    """The part of a Faust app that a runner needs."""

    def __init__(self, *failures: Exception) -> None:
        self.consumer_generation_id = GENERATION
        self.should_stop, self.limits = False, None
        self.ours = {LEFT, RIGHT}
        self.kafka = FakeProducer(*failures)
        self.producers_started = 0
        self.consumer = FakeConsumer(self)
        self.crashes, self.heard = list[BaseException](), list[bool]()
        self.claims = SimpleNamespace(sender=lambda topic, partition: Sender(self.kafka))
        self.producers = SimpleNamespace(start=self.start_producer)
        self.writes = Writes()

    async def start_producer(self) -> FakeProducer:
        self.producers_started += 1
        await asyncio.sleep(0)
        return self.kafka

    def assigned(self) -> set[TP]:
        return self.ours

    def fresh(self) -> bool:
        return self.heard.pop(0) if self.heard else True

    async def crash(self, error: BaseException) -> None:
        self.crashes.append(error)


class FakeStream:
    """A stream of runs that Faust itself does not acknowledge."""

    def __init__(self, *events: FakeEvent) -> None:
        self.items = events
        self.acknowledges = True

    def noack(self) -> "FakeStream":
        self.acknowledges = False
        return self

    async def events(self) -> Any:
        assert not self.acknowledges
        for event in self.items:
            yield event


class Gates:
    """Processing that records beginnings and ends, and waits in between until the gate of the partition opens."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.done: list[tuple[int, int]] = []
        self.of = {0: asyncio.Event(), 1: asyncio.Event()}

    async def process(self, run: Run) -> None:
        place = run.partition, run.records[-1].offset
        self.begun.append(place)
        await self.of[run.partition].wait()
        self.done.append(place)
        run.done()


def event_of(partition: int, offset: int) -> FakeEvent:
    return FakeEvent([record(b"%d" % offset, partition=partition, offset=offset)])


async def let_others_run() -> None:
    for _ in range(20):
        await REAL_SLEEP(0)


@pytest.fixture
def table(tmp_path: Path) -> RunTable:
    app = create_app(Settings(_env_file=None, data_dir=tmp_path), "test")
    return RunTable(app, name="rows", changelog=CHANGELOG, partitions=2)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "HEARTBEAT_WAIT_SECONDS", 0.0)


def runner_of(
    app: FakeApp, stage: str = "ingest", ready: asyncio.Event | None = None, rest: float = 0.0
) -> Runner:
    return Runner(app, stage, ready, rest)  # type: ignore[arg-type]


def outgoing_of(value: bytes) -> Outgoing:
    outgoing = Outgoing(1)
    outgoing.add_keyed("test.out", b"k", value)
    return outgoing


async def write(app: FakeApp, table: RunTable, run: Owned) -> None:
    change = table.change(run.partition)
    change.put_row(b"a", b"1")
    await runner_of(app).write(run, outgoing_of(b"out"), table, change)


async def test_outgoing_records_are_sent_before_rows_and_rows_show_once_acknowledged(
    table: RunTable,
) -> None:
    app = FakeApp()
    run, event = run_of(record(b"1", partition=1))
    await write(app, table, run)
    assert [(topic, partition) for topic, partition, _ in app.kafka.batches] == [
        ("test.out", 0),
        (CHANGELOG, 1),
    ]
    rows = app.kafka.batches[1][2]
    assert [key for key, _ in rows] == [b"a", b""]
    assert dict(table.rows[1].items()) == dict(rows)
    assert event.acks == 0


@pytest.mark.parametrize("owned", [run_of()[0], Assignment(0, GENERATION)])
async def test_effects_of_another_generation_are_dropped_unsent(table: RunTable, owned: Owned) -> None:
    app = FakeApp()
    app.consumer_generation_id += 1
    with pytest.raises(RunDroppedError):
        await write(app, table, owned)
    assert app.kafka.tried == 0
    assert not dict(table.rows[0].items())


@pytest.mark.parametrize(("batch", "written"), [(1, 1), (2, 2)])
async def test_a_run_is_dropped_and_its_rows_stay_hidden_if_its_partition_moves_meanwhile(
    table: RunTable, batch: int, written: int
) -> None:
    app = FakeApp()
    send = app.kafka.send_batch

    async def send_and_move(*args: Any, **kwargs: Any) -> Any:
        acknowledged = await send(*args, **kwargs)
        app.consumer_generation_id += app.kafka.tried == batch
        return acknowledged

    app.kafka.send_batch = send_and_move  # type: ignore[method-assign]
    with pytest.raises(RunDroppedError):
        await write(app, table, run_of()[0])
    assert len(app.kafka.batches) == written
    assert not dict(table.rows[0].items())


async def test_a_worker_that_slept_writes_only_when_it_has_heard_from_the_group(table: RunTable) -> None:
    app = FakeApp()
    app.heard = [False, False, False, True]
    sent_before: list[int] = []
    hear = app.fresh

    def heard() -> bool:
        sent_before.append(app.kafka.tried)
        return hear()

    app.fresh = heard  # type: ignore[method-assign]
    await write(app, table, run_of()[0])
    assert sent_before[:4] == [0, 0, 0, 0]
    assert len(app.kafka.batches) == 2


async def test_a_worker_that_slept_and_lost_its_partitions_drops_the_run(table: RunTable) -> None:
    app = FakeApp()

    def asleep() -> bool:
        app.consumer_generation_id += 1
        return False

    app.fresh = asleep  # type: ignore[method-assign]
    with pytest.raises(RunDroppedError):
        await write(app, table, run_of()[0])
    assert app.kafka.tried == 0


async def test_rows_do_not_show_when_kafka_refuses_the_outgoing_records(table: RunTable) -> None:
    app = FakeApp(TopicAuthorizationFailedError("test.out"))
    with pytest.raises(AfreshError):
        await write(app, table, run_of()[0])
    assert app.kafka.batches == []
    assert not dict(table.rows[0].items())


def fenced(app: FakeApp) -> SimpleNamespace:
    """Let Kafka refuse the rows of an app, as if another worker had claimed their partition."""
    refusing: Any = FakeProducer(ProducerFenced())
    return SimpleNamespace(sender=lambda topic, partition: Sender(refusing))


async def test_a_run_whose_rows_are_fenced_is_dropped_if_its_partition_has_moved(
    table: RunTable,
) -> None:
    app = FakeApp()
    app.claims = fenced(app)
    heard = iter([True, True, False])

    def asleep() -> bool:
        fresh = next(heard)
        app.consumer_generation_id += not fresh
        return fresh

    app.fresh = asleep  # type: ignore[method-assign]
    with pytest.raises(RunDroppedError):
        await write(app, table, run_of()[0])
    assert not dict(table.rows[0].items())


async def test_a_fenced_owner_fails_so_that_it_claims_again(table: RunTable) -> None:
    app = FakeApp()
    app.claims = fenced(app)
    with pytest.raises(FencedError):
        await write(app, table, run_of()[0])
    assert not dict(table.rows[0].items())


async def test_every_run_of_a_stream_is_processed_in_order() -> None:
    app = FakeApp()
    events = [FakeEvent([record(b"%d" % offset, offset=offset)]) for offset in range(3)]
    seen: list[Any] = []

    async def process(run: Any) -> None:
        seen.append((run.topic, run.partition, [each.value for each in run.records]))
        run.done()

    await runner_of(app).drive(FakeStream(*events), process)
    assert seen == [("test.events", 0, [b"%d" % offset]) for offset in range(3)]
    assert [event.acks for event in events] == [1, 1, 1]


async def test_a_run_fetched_under_an_earlier_assignment_is_not_processed() -> None:
    """Its ids would get into the new assignment's window, and its events would count as duplicates when read again."""
    app, event, processed = FakeApp(), event_of(0, 0), list[Run]()

    async def process(run: Run) -> None:
        processed.append(run)

    app.consumer_generation_id += 1
    await runner_of(app).drive(FakeStream(event), process)
    assert processed == []
    assert event.acks == 0


async def test_a_dropped_run_is_not_acknowledged_and_the_next_one_is_processed() -> None:
    app, events = FakeApp(), [FakeEvent([record(b"1")]), FakeEvent([record(b"2", offset=1)])]

    async def process(run: Any) -> None:
        if run.records[0].value == b"1":
            raise RunDroppedError
        run.done()

    before = dropped("profile")
    await runner_of(app, "profile").drive(FakeStream(*events), process)
    assert [event.acks for event in events] == [0, 1]
    assert app.crashes == []
    assert dropped("profile") == before + 1


def dropped(stage: str) -> float:
    return REGISTRY.get_sample_value("afresh_runs_dropped_total", {"stage": stage}) or 0.0


async def test_a_run_that_fails_ends_the_worker_and_nothing_after_it_is_processed() -> None:
    """Faust would go on with the next run, and leave a hole."""
    app, events, processed = FakeApp(), [event_of(0, offset) for offset in range(3)], list[int]()

    async def process(run: Run) -> None:
        processed.append(run.records[-1].offset)
        raise ZeroDivisionError

    await runner_of(app).drive(FakeStream(*events), process)
    assert processed == [0]
    assert [type(error) for error in app.crashes] == [ZeroDivisionError]
    assert [event.acks for event in events] == [0, 0, 0]


async def test_runs_of_one_partition_go_in_order_and_runs_of_different_ones_overlap() -> None:
    gates, events = Gates(), [event_of(0, 0), event_of(0, 1), event_of(1, 0), event_of(0, 2)]
    driving = asyncio.create_task(runner_of(FakeApp()).drive(FakeStream(*events), gates.process))
    await let_others_run()
    assert gates.begun == [(0, 0), (1, 0)]
    gates.of[1].set()
    await let_others_run()
    assert gates.done == [(1, 0)]
    assert gates.begun == [(0, 0), (1, 0)]
    gates.of[0].set()
    await driving
    assert gates.done == [(1, 0), (0, 0), (0, 1), (0, 2)]
    assert [event.acks for event in events] == [1, 1, 1, 1]


async def test_a_partition_is_held_back_until_all_its_runs_have_ended() -> None:
    app, gates = FakeApp(), Gates()
    stream = FakeStream(event_of(0, 0), event_of(1, 0), event_of(0, 1))
    driving = asyncio.create_task(runner_of(app).drive(stream, gates.process))
    await let_others_run()
    assert app.consumer.held_back == {LEFT, RIGHT}
    gates.of[1].set()
    await let_others_run()
    assert app.consumer.held_back == {LEFT}
    gates.of[0].set()
    await driving
    assert app.consumer.held_back == set()


@pytest.mark.parametrize("failure", [RunDroppedError, ZeroDivisionError])
async def test_a_partition_is_released_however_its_runs_end(failure: type[Exception]) -> None:
    app = FakeApp()

    async def process(run: Run) -> None:
        raise failure

    driving = runner_of(app).drive(FakeStream(event_of(0, 0), event_of(0, 1)), process)
    await asyncio.gather(driving, return_exceptions=True)
    await let_others_run()
    assert app.consumer.held_back == set()


async def test_a_partition_that_moved_away_is_not_released() -> None:
    """Faust would fetch a partition that belongs to another worker."""
    app, gates = FakeApp(), Gates()
    stream = FakeStream(event_of(0, 0), event_of(0, 1), event_of(1, 0), event_of(1, 1))
    driving = asyncio.create_task(runner_of(app).drive(stream, gates.process))
    await let_others_run()
    assert app.consumer.held_back == {LEFT, RIGHT}
    app.ours = {RIGHT}
    for gate in gates.of.values():
        gate.set()
    await driving
    assert app.consumer.held_back == {LEFT}


async def test_a_resting_agent_holds_its_partition_until_it_has_rested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rested, app, gates, first = asyncio.Event(), FakeApp(), Gates(), event_of(0, 0)

    async def sleep(seconds: float) -> None:
        await (rested.wait() if seconds == REST_SECONDS else REAL_SLEEP(seconds))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    gates.of[0].set()
    runner = runner_of(app, "learn", rest=REST_SECONDS)
    driving = asyncio.create_task(runner.drive(FakeStream(first, event_of(0, 1)), gates.process))
    await let_others_run()
    assert (gates.begun, first.acks) == ([(0, 0)], 1)
    assert app.consumer.held_back == {LEFT}
    rested.set()
    await driving
    assert gates.done == [(0, 0), (0, 1)]
    assert app.consumer.held_back == set()


async def test_runs_that_write_at_the_same_time_share_one_producer_for_outgoing_records(
    table: RunTable,
) -> None:
    app = FakeApp()
    runner = runner_of(app)

    async def write_to(partition: int) -> None:
        change = table.change(partition)
        await runner.write(run_of(record(b"1", partition=partition))[0], outgoing_of(b"out"), table, change)

    await asyncio.gather(write_to(0), write_to(1))
    assert app.producers_started == 1
    assert [(topic, len(records)) for topic, _, records in app.kafka.batches] == [
        ("test.out", 2),
        (CHANGELOG, 1),
        (CHANGELOG, 1),
    ]


async def test_the_first_run_waits_until_the_agent_is_ready() -> None:
    app, ready, processed = FakeApp(), asyncio.Event(), list[Run]()

    async def process(run: Run) -> None:
        processed.append(run)

    driving = asyncio.create_task(
        runner_of(app, ready=ready).drive(FakeStream(FakeEvent([record(b"1")])), process)
    )
    for _ in range(5):
        await asyncio.sleep(0)
    assert processed == []
    ready.set()
    await driving
    assert len(processed) == 1


async def test_waiting_records_are_those_behind_the_last_run_of_our_partitions() -> None:

    async def process(run: Run) -> None:
        run.done()

    app = FakeApp()
    runner = runner_of(app)
    await runner.drive(FakeStream(event_of(0, 2), event_of(0, 9), event_of(1, 11)), process)
    assert runner.waiting() == 3 + 1
    app.ours = {RIGHT}
    assert runner.waiting() == 1
    app.consumer_generation_id += 1
    assert runner.waiting() == 0


async def test_a_run_is_unfinished_until_it_may_be_committed() -> None:
    """Lists are pushed after the rows of a run are written; a stopping process must wait for them."""
    event, runner = event_of(0, 0), runner_of(FakeApp())

    async def process(run: Run) -> None:
        assert runner.unfinished()

    await runner.drive(FakeStream(event), process)
    assert runner.unfinished()
    event.ack()
    assert not runner.unfinished()


async def test_a_run_from_before_a_rebalance_does_not_count_as_unfinished() -> None:
    app, event = FakeApp(), event_of(0, 0)
    runner = runner_of(app)

    async def process(run: Run) -> None:
        app.consumer_generation_id += 1
        raise RunDroppedError

    await runner.drive(FakeStream(event), process)
    assert not event.message.acked
    assert not runner.unfinished()


async def test_a_stopping_process_finishes_the_current_run_and_begins_no_other() -> None:
    app, gates, events = FakeApp(), Gates(), [event_of(0, 0), event_of(0, 1)]
    runner = runner_of(app)
    stream = FakeStream(*events)
    driving = asyncio.create_task(runner.drive(stream, gates.process))
    await REAL_SLEEP(0.01)
    app.should_stop = True
    gates.of[0].set()
    await driving
    assert gates.begun == gates.done == [(0, 0)]
    assert not runner.unfinished()
    assert [event.acks for event in events] == [1, 0]
