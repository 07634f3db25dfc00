from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

from afresh.deploy import rollback
from afresh.state.errors import AfreshError
from afresh.streams.messages import COMMAND_KEY, ROLL_BACK, command_decoder
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic


class FakeProducer:
    """A producer that refuses the records of one partition."""

    def __init__(self, refused: int | None = None) -> None:
        self.sent: list[tuple[str, int, bytes | None, str]] = []
        self._refused = refused

    def send(self, topic: str, value: bytes, key: bytes, partition: int) -> Any:
        producer = self

        class Future:
            def get(self, timeout: float) -> None:
                assert timeout > 0
                if partition == producer._refused:
                    raise KafkaTimeoutError("no leader")
                producer.sent.append((topic, partition, key, command_decoder.decode(value).name))

        return Future()


def use(monkeypatch: pytest.MonkeyPatch, producer: FakeProducer) -> None:
    @contextmanager
    def opened(settings: Settings, topic: Topic) -> Iterator[FakeProducer]:
        yield producer

    monkeypatch.setattr(rollback, "producer", opened)


def test_every_partition_gets_the_command_once(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer()
    use(monkeypatch, producer)
    assert rollback.roll_back(Settings(_env_file=None, partitions=3)) == 3
    assert producer.sent == [
        ("afresh.interactions", partition, COMMAND_KEY, ROLL_BACK) for partition in range(3)
    ]


def test_the_error_counts_the_partitions_that_got_the_command_before_kafka_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, FakeProducer(refused=2))
    with pytest.raises(AfreshError, match=r"partition 2 .* 2 of 4 partitions go back"):
        rollback.roll_back(Settings(_env_file=None, partitions=4))
