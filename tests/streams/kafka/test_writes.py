import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from afresh.streams.kafka.app import App
from afresh.streams.kafka.writes import PATIENCE_SECONDS, REST_SECONDS, Writes


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_kafka_is_said_to_take_writes_while_it_has_taken_one_a_moment_ago() -> None:
    writes = Writes(clock := Clock())
    clock.now += PATIENCE_SECONDS
    assert writes.refusal(answers=True) == ""
    clock.now += 2
    assert writes.refusal(answers=True) == (
        "Kafka takes no writes: it acknowledges none, though it answers, for 12 s"
    )
    assert writes.refusal(answers=False) == (
        "Kafka takes no writes: no coordinator of the group answers, for 12 s"
    )
    writes.taken()
    assert writes.refusal(answers=False) == ""


def test_rows_that_wait_for_kafka_are_refused_writes_although_commits_are_taken() -> None:
    writes = Writes(clock := Clock())
    with writes.under_way():
        with writes.under_way():
            clock.now += PATIENCE_SECONDS + 1
            writes.taken()
            assert writes.age() == PATIENCE_SECONDS + 1
        assert writes.refusal(answers=True) != ""
    assert writes.refusal(answers=True) == ""


class Consumer:
    def __init__(self, app: Any, failure: Exception | None) -> None:
        self.app, self.failure, self.asked = app, failure, 0

    async def commit_again(self) -> None:
        self.asked += 1
        if self.failure:
            raise self.failure


@pytest.mark.parametrize("failure", [None, KafkaError("no quorum")])
async def test_a_process_at_rest_commits_again_and_again(
    failure: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    app: Any = SimpleNamespace(
        writes=Writes(clock), assigned=lambda: {0}, rebalancing=False, should_stop=False
    )
    app.consumer = consumer = Consumer(app, failure)
    asked = []

    async def sleep(_: float) -> None:
        asked.append(consumer.asked)
        clock.now += REST_SECONDS / 2
        app.rebalancing = len(asked) == 4
        app.should_stop = len(asked) == 6

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await App.prove_writes(app)
    assert asked == [0, 0, 1, 2, 2, 3]
