"""Reads topics from their beginning, a partition at a time, up to where they ended when the audit began."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

import msgspec
from kafka import KafkaConsumer, TopicPartition

from afresh.deploy.clients import Offsets, places, read_records
from afresh.deploy.ledger.report import Report
from afresh.state.errors import AfreshError
from afresh.state.store.marks import PARTITION_ROW_VERSION
from afresh.state.versions import unpack_known
from afresh.streams.connections import kafka_options
from afresh.streams.messages import COMMAND_KEY
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic, Topics

FETCH_BYTES = 16 * 1024 * 1024
POLL_RECORDS = 5000

T = TypeVar("T")

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What decoding a record may raise."""

PARTITION_ROW = b""
"""Key of the row that a table keeps for a partition as a whole."""

Rows = dict[bytes, bytes]


class AuditedPartitionRow(msgspec.Struct, array_like=True):
    """What an audit reads of that row: not the marks, which are the bookkeeping that it audits."""

    version: int
    marks: msgspec.Raw
    agent_state: bytes


_partition_row_decoder = msgspec.msgpack.Decoder(AuditedPartitionRow)


class ReadRecord(Protocol):
    """A record as Kafka's clients give it."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """When Kafka took it, in ms."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its value; None deletes what has its key."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Its headers."""


class Logs(Protocol):
    """Topics to read."""

    def records(self, topic: Topic, partition: int) -> Iterator[ReadRecord]:
        """Records of a partition in their order."""
        ...


class KafkaLogs:
    """Topics of a broker, as they were when this was made.

    Parameters
    ----------
    consumer
        A consumer without a group.
    topics
        The topics to be read.
    patience_seconds
        How long Kafka may keep silent.

    Raises
    ------
    AfreshError
        When the beginning of a topic is gone: nothing can be recomputed from the rest.
    """

    def __init__(self, consumer: KafkaConsumer, topics: Sequence[Topic], patience_seconds: float) -> None:
        self._consumer = consumer
        self._patience_seconds = patience_seconds
        every = places(*topics)
        self._ends: Offsets = consumer.end_offsets(every)
        self._begins: Offsets = consumer.beginning_offsets(every)
        compacted = {topic.name for topic in topics if topic.config["cleanup.policy"] == "compact"}
        for place, begin in self._begins.items():
            if begin and place.topic not in compacted:
                raise AfreshError(
                    f"the first {begin:,} records of {place.topic}-{place.partition} are gone, and with them what the "
                    "rows are to be compared with; audit before retention (AFRESH_RETENTION_DAYS) takes them"
                )

    def records(self, topic: Topic, partition: int) -> Iterator[ReadRecord]:
        """Records of a partition in their order.

        Raises
        ------
        AfreshError
            When Kafka stops answering.
        """
        place = TopicPartition(topic.name, partition)
        return read_records(
            self._consumer, place, self._begins[place], self._ends[place], self._patience_seconds
        )


@contextmanager
def kafka_logs(settings: Settings) -> Iterator[KafkaLogs]:
    """Open the topics of a deployment as they are now."""
    consumer = KafkaConsumer(
        **kafka_options(settings),
        bootstrap_timeout_ms=int(settings.start_timeout_seconds * 1000),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        # Checksums in Python take nine tenths of the time; the broker has checked them.
        check_crcs=False,
        fetch_max_bytes=4 * FETCH_BYTES,
        max_partition_fetch_bytes=FETCH_BYTES,
        max_poll_records=POLL_RECORDS,
        metrics_enabled=False,
    )
    try:
        yield KafkaLogs(consumer, Topics(settings).all(), settings.start_timeout_seconds)
    finally:
        consumer.close()


def newest(records: Iterable[ReadRecord]) -> Rows:
    """Newest row of each key of a changelog, of the keys that are not deleted."""
    rows: Rows = {}
    for record in records:
        key = record.key or PARTITION_ROW
        if record.value is None:
            rows.pop(key, None)
        else:
            rows[key] = record.value
    return rows


def agent_state_of(rows: Rows) -> bytes:
    """What the agent that owns a table keeps for a partition, beside rows and marks.

    Raises
    ------
    RowVersionError
        When another version of this program wrote the partition's row.
    """
    packed = rows.get(PARTITION_ROW)
    if packed is None:
        return b""
    return unpack_known(
        _partition_row_decoder, packed, "A partition's row", PARTITION_ROW_VERSION
    ).agent_state


def decoded(
    logs: Logs, topic: Topic, partition: int, decoder: msgspec.msgpack.Decoder[T], report: Report
) -> Iterator[tuple[ReadRecord, T]]:
    """Records between agents that have a value and are no commands, and what they say.

    One that can not be read is a difference.
    """
    for record in logs.records(topic, partition):
        if record.value is None or record.key == COMMAND_KEY:
            continue
        try:
            said = decoder.decode(record.value)
        except UNREADABLE as error:
            report.differ(
                "records", f"that at {partition}@{record.offset} of {topic.name} can not be read ({error})"
            )
        else:
            yield record, said
