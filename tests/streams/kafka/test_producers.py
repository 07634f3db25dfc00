import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, TransactionalIdAuthorizationFailed

from afresh.streams.kafka import producers as module
from afresh.streams.kafka.producers import Producers
from afresh.streams.kafka.rights import NotAllowedError, Right


class Stoppable:
    def __init__(self) -> None:
        self.stops = 0

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stops += 1


def real(transactional_id: str | None) -> AIOKafkaProducer:
    return AIOKafkaProducer(transactional_id=transactional_id)


async def test_a_producer_is_retried_while_the_broker_is_down_or_names_no_broker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    answers = iter([KafkaConnectionError("down"), None, TransactionalIdAuthorizationFailed("ours-1")])

    async def bootstrap(client: AIOKafkaClient) -> None:
        if (failure := next(answers)) is not None:
            raise failure

    monkeypatch.setattr(AIOKafkaClient, "bootstrap", bootstrap)
    with pytest.raises(NotAllowedError) as refused:
        await Producers(real).start("ours-1")
    assert refused.value.rights == (Right("Write", "transactional id", "ours-1"),)
    assert list(answers) == []
    down, nameless = [message for message in caplog.messages if "A producer could not start" in message]
    assert "KafkaConnectionError('down')" in down
    assert "Did we not perform bootstrap?" in nameless


async def test_every_producer_stops_once_including_dropped_ones() -> None:
    made: list[Stoppable] = []

    def make(transactional_id: str | None) -> Stoppable:
        made.append(Stoppable())
        return made[-1]

    producers = Producers(make)
    dropped, _ = await producers.start("ours-1"), await producers.start()
    producers.drop(dropped)
    await producers.stop()
    assert [each.stops for each in made] == [1, 1]
