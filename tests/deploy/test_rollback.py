from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

from afresh.deploy import rollback
from afresh.deploy.feeds import feed
from afresh.state.errors import AfreshError
from afresh.streams.messages import COMMAND_KEY, ROLL_BACK, command_decoder
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION, Topic


class FakeProducer:
    """A producer that may refuse a record."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.sent: list[tuple[str, int, bytes | None, str]] = []
        self._refuses = refuses

    def send(self, topic: str, value: bytes, key: bytes, partition: int) -> Any:
        producer = self

        class Future:
            def get(self, timeout: float) -> None:
                assert timeout > 0
                if producer._refuses:
                    raise KafkaTimeoutError("no leader")
                producer.sent.append((topic, partition, key, command_decoder.decode(value).name))

        return Future()


def use(monkeypatch: pytest.MonkeyPatch, producer: FakeProducer) -> None:
    @contextmanager
    def opened(settings: Settings, topic: Topic) -> Iterator[FakeProducer]:
        yield producer

    monkeypatch.setattr(feed, "producer", opened)


def test_the_one_who_learns_the_weights_gets_the_command_once(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer()
    use(monkeypatch, producer)
    rollback.roll_back(Settings(_env_file=None, partitions=3))
    assert producer.sent == [("afresh.judged", FIRST_PARTITION, COMMAND_KEY, ROLL_BACK)]


def test_a_command_that_kafka_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeProducer(refuses=True))
    with pytest.raises(AfreshError, match=r"Kafka did not accept the command .*no leader"):
        rollback.roll_back(Settings(_env_file=None, partitions=4))
