"""Makes consumers without a broker."""

import asyncio
from collections import defaultdict, deque
from types import SimpleNamespace
from typing import Any

from faust.types import TP
from faust.types.tuples import Message
from mode.utils.queues import FlowControlEvent

from afresh.streams.kafka.commits import CommitAges
from afresh.streams.kafka.transport import Delivered, RunConsumer
from afresh.streams.kafka.writes import Writes
from tests.streams.making import record

ONE, TWO = TP("test.events", 0), TP("test.events", 1)
ROWS = TP("test.changelog", 0)
SESSION_SECONDS = 10.0


def message(offset: int, tp: TP = ONE) -> Message:
    records: Any = [
        record(b"", topic=tp.topic, partition=tp.partition, offset=offset, timestamp=offset * 1000)
    ]
    return Message(tp.topic, tp.partition, offset, 0.0, 0, None, None, records, None, tp=tp)


def handed_over(message: Message) -> Delivered:
    return Delivered(message, message.offset, float(message.offset))


def bare_consumer(*delivered: Message) -> Any:
    """Make a consumer without a broker that has delivered these runs."""
    consumer: Any = RunConsumer.__new__(RunConsumer)
    consumer._delivered = defaultdict(deque)
    consumer._passed = {}
    consumer._unacked_messages = set()
    consumer.commit_ages = CommitAges()
    consumer._thread = SimpleNamespace(heartbeat_answered=float("-inf"))
    consumer.app = SimpleNamespace(
        conf=SimpleNamespace(broker_session_timeout=SESSION_SECONDS), writes=Writes()
    )
    for each in delivered:
        consumer._delivered[each.tp].append(handed_over(each))
    return consumer


def suspended_consumer(callback: Any) -> Any:
    consumer = bare_consumer()
    consumer.app.flow_control = FlowControlEvent(initially_suspended=True)
    consumer.suspend_flow = asyncio.Event()
    consumer.callback = callback
    return consumer


def draining_consumer(*polls: Any, stopping: bool = False) -> Any:
    """Make a consumer with prepared polls; it raises an exception among them."""
    left = list(polls)

    async def getmany(timeout: float) -> Any:
        consumer.waits.append(timeout)
        poll = left.pop(0)
        if isinstance(poll, BaseException):
            raise poll
        for each in poll:
            yield each.tp, each

    async def callback(run: Message) -> None:
        consumer.delivered.append((run.partition, run.offset))

    consumer = suspended_consumer(callback)
    consumer.app.flow_control.resume()
    consumer.getmany, consumer.delivered, consumer.waits = getmany, [], []
    consumer.app.topics = SimpleNamespace(acks_enabled_for=lambda topic: topic == "test.events")
    consumer._stopped = consumer._crashed = asyncio.Event()
    consumer._read_offset = defaultdict(lambda: None)
    consumer.transport = SimpleNamespace(app=SimpleNamespace(should_stop=stopping))
    return consumer
