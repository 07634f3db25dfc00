"""Finds the version of the model that stands, near the end of its topic.

A version ends with a record that says so, and its revisions follow. So the newest of these tells which version stands.
The rows of the next version come behind them. While they do, and are many, the search gives up: it would read them all.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import msgspec
from kafka import KafkaConsumer, TopicPartition

from afresh.deploy.clients import SILENT_SECONDS, read_records
from afresh.state.model import told
from afresh.state.model.told import Revised, Whole
from afresh.streams.modelling.records import names_standing

TAILS = (0, 8, 64)
"""How far to look back from the end, in records: 400 kB each at most."""

KEY_BYTES = 8
"""Size of an item's key."""


class Version(NamedTuple):
    """A version of the model: the time at which it was begun, in ms, and the number of its items.

    Without a version, the number is 0 if nobody has made one, and None if it was not found. ``encoder`` is the version
    of the encoder that it was made from; empty if nobody has planned which.
    """

    version: int | None
    items: int
    encoder: str = ""


def newest_version(consumer: KafkaConsumer, partition: TopicPartition, begin: int, end: int) -> Version:
    """Find the version that stands, in a partition of the topic of the model.

    Raises
    ------
    UnavailableError
        If Kafka does not go on sending records.
    """
    for near, far in pairwise(TAILS):
        start, stop = max(end - far, begin), max(end - near, begin)
        found = _newest(consumer, partition, start, stop)
        if found is not None:
            return found
        if start == begin:
            return Version(0, 0)
    return Version(None, 0)


def _newest(consumer: KafkaConsumer, partition: TopicPartition, start: int, stop: int) -> Version | None:
    newest = None
    for record in read_records(consumer, partition, start, stop, SILENT_SECONDS):
        newest = _version_of(record.key or b"", record.value) or newest
    return newest


def _version_of(key: bytes, value: bytes | None) -> Version | None:
    """Return the version that a record says to stand; None if it says nothing of that."""
    if value is None or not names_standing(key):
        return None
    try:
        message = told.decoder.decode(value)
    except msgspec.MsgspecError:
        # Of another version of this program: workers ignore it, too.
        return None
    match message:
        case Whole():
            return Version(message.version, message.items, message.encoder)
        case Revised():
            items = message.first + len(message.keys) // KEY_BYTES
            return Version(message.version, items, message.encoder)
    return None
