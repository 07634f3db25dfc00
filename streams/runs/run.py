"""Runs: the records of one partition that one Faust message carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiokafka.structs import ConsumerRecord
from faust.types import EventT

KafkaRecord: TypeAlias = ConsumerRecord[bytes, bytes]


class RunDroppedError(Exception):
    """The run's partition is no longer ours; whoever owns it now reads the run again.

    A signal to the runner, and no AfreshError: nobody has to mend it.
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
        """Allow Faust to commit the run's offset."""
        self.event.ack()
