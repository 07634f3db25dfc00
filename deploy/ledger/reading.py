"""Reads topics partition by partition, from the beginning to the offset where each ended when the audit began."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

import msgspec
from kafka import KafkaConsumer, TopicPartition

import afresh.streams.kafka.batches  # noqa: F401 - replaces how kafka-python takes batches apart
from afresh.deploy.clients import Offsets, begins_of, ends_of, places, read_records, reader
from afresh.deploy.ledger.report import Report
from afresh.state.errors import AfreshError
from afresh.state.store.marks import PARTITION_ROW_VERSION, UNKNOWN, Reached
from afresh.state.versions import unpack_known
from afresh.streams.kafka.admin import incarnations_of
from afresh.streams.kafka.patient import PatientAdmin
from afresh.streams.messages import COMMAND_KEY, UNDECODABLE
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic, Topics

FETCH_BYTES = 16 * 1024 * 1024
POLL_RECORDS = 5000

T = TypeVar("T")

PARTITION_ROW = b""
"""Key of the partition row, by which the audit keeps it among the other rows."""

Rows = dict[bytes, bytes]


class AuditedPartitionRow(msgspec.Struct, array_like=True):
    """What the audit reads of a partition row.

    It does not read the marks, because it audits that bookkeeping. It does read which incarnations of a topic the rows
    were made from: rows made from records that are gone cannot be recomputed.
    """

    version: int
    marks: msgspec.Raw
    agent_state: bytes
    counted: msgspec.Raw = msgspec.Raw()
    reached: dict[str, list[Reached]] = {}


_partition_row_decoder = msgspec.msgpack.Decoder(AuditedPartitionRow)


class ReadRecord(Protocol):
    """A record as Kafka's clients return it."""

    @property
    def offset(self) -> int:
        """Its offset in the partition."""

    @property
    def timestamp(self) -> int:
        """When Kafka stored it, in ms."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its value; None deletes the row of its key."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Its headers."""


class Logs(Protocol):
    """The topics to read."""

    def incarnation(self, topic: Topic) -> int:
        """Return the incarnation of a topic; 0 if the broker does not tell."""
        ...

    def records(self, topic: Topic, partition: int) -> Iterator[ReadRecord]:
        """Yield the records of a partition in their order."""
        ...


class KafkaLogs:
    """The topics of a broker, up to the offsets where they ended when this object was made.

    Parameters
    ----------
    consumer
        A consumer without a group.
    topics
        The topics to read.
    incarnations
        Incarnation of each topic, by its name.
    patience_seconds
        Longest time to wait for an answer of Kafka.

    Raises
    ------
    AfreshError
        If the beginning of a topic is gone, because rows cannot be recomputed from the rest.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        topics: Sequence[Topic],
        incarnations: Mapping[str, int],
        patience_seconds: float,
    ) -> None:
        self._consumer = consumer
        self._incarnations = incarnations
        self._patience_seconds = patience_seconds
        every = places(*topics)
        self._ends: Offsets = ends_of(consumer, every)
        self._begins: Offsets = begins_of(consumer, every)
        compacted = {topic.name for topic in topics if topic.config["cleanup.policy"] == "compact"}
        for place, begin in self._begins.items():
            if begin and place.topic not in compacted:
                raise AfreshError(
                    f"the first {begin:,} records of {place.topic}-{place.partition} are gone, and rows cannot be "
                    "recomputed without them; audit before retention (AFRESH_RETENTION_DAYS) deletes records"
                )

    def incarnation(self, topic: Topic) -> int:
        """Return the incarnation of a topic; 0 if the broker does not tell."""
        return self._incarnations.get(topic.name, UNKNOWN)

    def records(self, topic: Topic, partition: int) -> Iterator[ReadRecord]:
        """Yield the records of a partition in their order.

        Raises
        ------
        AfreshError
            If Kafka stops answering.
        """
        place = TopicPartition(topic.name, partition)
        return read_records(
            self._consumer, place, self._begins[place], self._ends[place], self._patience_seconds
        )


@contextmanager
def kafka_logs(settings: Settings) -> Iterator[KafkaLogs]:
    """Open the topics of a deployment, up to where they end now."""
    consumer = reader(
        settings,
        fetch_max_bytes=4 * FETCH_BYTES,
        max_partition_fetch_bytes=FETCH_BYTES,
        max_poll_records=POLL_RECORDS,
    )
    topics = Topics(settings).all()
    admin = PatientAdmin(settings)
    try:
        incarnations = incarnations_of(admin, [topic.name for topic in topics])
        yield KafkaLogs(consumer, topics, incarnations, settings.start_timeout_seconds)
    finally:
        admin.close()
        consumer.close()


def newest(records: Iterable[ReadRecord]) -> Rows:
    """Return the newest row of each key of a changelog; deleted keys are left out."""
    rows: Rows = {}
    for record in records:
        key = record.key or PARTITION_ROW
        if record.value is None:
            rows.pop(key, None)
        else:
            rows[key] = record.value
    return rows


def agent_state_of(rows: Rows) -> bytes:
    """Return the agent state in the partition row; empty if there is no such row.

    Raises
    ------
    RowVersionError
        If another version of this program wrote the partition row.
    """
    row = _partition_row(rows)
    return b"" if row is None else row.agent_state


def made_from_what_is_gone(rows: Rows, logs: Logs, topic: Topic) -> bool:
    """Tell whether rows were also made from an earlier topic of this name, which was deleted.

    Raises
    ------
    RowVersionError
        If another version of this program wrote the partition row.
    """
    return bool(earlier_incarnations([rows], logs, topic))


def earlier_incarnations(tables: Iterable[Rows], logs: Logs, topic: Topic) -> set[int]:
    """Return the earlier incarnations of a topic that rows were made from; see ``made_from_what_is_gone``."""
    found = [row.reached.get(topic.name, []) for rows in tables if (row := _partition_row(rows))]
    current = logs.incarnation(topic)
    return {
        last.incarnation for reached in found for last in reached if is_earlier(last.incarnation, current)
    }


def is_earlier(incarnation: int, current: int) -> bool:
    """Tell whether an incarnation is known, and is not the current one."""
    return UNKNOWN not in (incarnation, current) and incarnation != current


def _partition_row(rows: Rows) -> AuditedPartitionRow | None:
    packed = rows.get(PARTITION_ROW)
    if packed is None:
        return None
    return unpack_known(_partition_row_decoder, packed, "A partition's row", PARTITION_ROW_VERSION)


def decoded(
    logs: Logs,
    topic: Topic,
    partition: int,
    decode: Callable[[bytes], T],
    report: Report,
    command: Callable[[bytes], T] | None = None,
) -> Iterator[tuple[ReadRecord, T]]:
    """Yield the records between agents, each with its decoded value.

    Leaves out records without a value, and commands if nothing decodes them. Reports an unreadable record as a
    difference.
    """
    for record in logs.records(topic, partition):
        how = command if record.key == COMMAND_KEY else decode
        if record.value is None or how is None:
            continue
        try:
            said = how(record.value)
        except UNDECODABLE as error:
            report.differ(
                "records",
                f"the record at {partition}@{record.offset} of {topic.name} cannot be read ({error})",
            )
        else:
            yield record, said
