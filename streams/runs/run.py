"""Runs: the records of one partition that one Faust message carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiokafka.structs import ConsumerRecord
from faust.types import EventT

KafkaRecord: TypeAlias = ConsumerRecord[bytes, bytes]


class RunDroppedError(Exception):
    """The run's partition has moved to another worker or was assigned anew; its owner reads the run again.

    A signal to the runner. It is not an AfreshError, because there is nothing for a person to mend.
    """


@dataclass(frozen=True)
class Run:
    """The records of one partition that one Faust message carries."""

    event: EventT[Any]
    records: Sequence[KafkaRecord]

    @property
    def topic(self) -> str:
        """Topic of the records."""
        return str(self.event.message.topic)

    @property
    def partition(self) -> int:
        """Partition of the records."""
        return int(self.event.message.partition)

    def done(self) -> None:
        """Allow Faust to commit the offset of the run."""
        self.event.ack()
