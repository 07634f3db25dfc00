"""Dead letters: records that cannot be used, kept together with the reason."""

from __future__ import annotations

from aiokafka.structs import ConsumerRecord

from afresh.state.store.marks import UNKNOWN
from afresh.streams.checks import RefusedError
from afresh.streams.kafka.sender import OutgoingRecord

KEPT_BYTES = 2_000_000
"""Bytes kept of the key and of the value: a record that came compressed may be larger than any topic takes."""


def dead_letter(
    record: ConsumerRecord[bytes, bytes], error: RefusedError, incarnation: int = UNKNOWN
) -> OutgoingRecord:
    """Copy a record for the dead letters: its bytes stay as they are up to the limit, the reason is in the headers.

    Parameters
    ----------
    record, error
        The record, and why it cannot be used.
    incarnation
        Incarnation of its topic.
    """
    headers = [
        ("reason", error.reason.encode()),
        ("detail", str(error)[:1024].encode("utf-8", "replace")),
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
        ("time", str(record.timestamp).encode()),
        ("incarnation", str(incarnation).encode()),
    ]
    key, value = record.key, record.value or b""
    return OutgoingRecord(key and key[:KEPT_BYTES], value[:KEPT_BYTES], headers)
