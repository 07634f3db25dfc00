"""Runs: the records of one partition that one Faust message carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from aiokafka.structs import ConsumerRecord
from faust.types import EventT

from afresh.state.errors import AfreshError

KafkaRecord: TypeAlias = ConsumerRecord[bytes, bytes]


class RunDroppedError(Exception):
    """The run's partition has moved to another worker or was assigned anew; its owner reads the run again.

    A signal to the runner. It is not an AfreshError, because there is nothing for a person to mend.
    """


def not_ours(record: KafkaRecord) -> AfreshError:
    """Return the error that ends a process at a record that no afresh wrote, in a topic that only afresh may write."""
    return AfreshError(
        f"the record at offset {record.offset} of {record.topic}-{record.partition} is none of afresh's: somebody else "
        "has written to the topic; take the right Write on it from all others, and remove the record and all before it "
        "with kafka-delete-records.sh, or replay the events under another AFRESH_NAMESPACE"
    )


def place_of(record: KafkaRecord, stage: str) -> dict[str, str | int]:
    """Return where a record stands that a stage reads, as fields of a line of the log."""
    return {
        "stage": stage,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
    }


class Owned(Protocol):
    """A partition as it was assigned to this worker; what is written for it is written only while this is so."""

    @property
    def partition(self) -> int:
        """Number of the partition."""

    @property
    def generation(self) -> int:
        """Generation of the consumer group."""


@dataclass(frozen=True)
class Assignment:
    """A partition that is assigned to this worker, for what is written without a run."""

    partition: int
    generation: int


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

    @property
    def generation(self) -> int:
        """Generation of the consumer group in which the records were fetched."""
        return int(self.event.message.generation_id or 0)

    def done(self) -> None:
        """Allow Faust to commit the offset of the run."""
        self.event.ack()
