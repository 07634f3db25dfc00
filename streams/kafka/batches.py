"""How both Kafka clients take apart what they fetch: no batch ends a process.

Importing this module replaces the reader of batches in aiokafka and in kafka-python. It mends three faults:

* A record whose header has a key that is no UTF-8, or a batch that cannot be decompressed, raises an error at each
  fetch, and nothing behind it is ever read. Such a batch is unpacked by ``streams.batches``.
* Compaction empties a transaction's marker and keeps it for as long as Kafka remembers its producer. Both clients end
  with an error there when they leave out aborted transactions.
* A batch whose checksum is wrong raises an error that does not name it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import aiokafka.consumer.fetcher
import kafka.consumer.fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import ConsumerRecord

from afresh.state.errors import AfreshError
from afresh.streams.batches import (
    FORMAT,
    UnpackedRecord,
    UnreadableBatch,
    codec_of,
    count_records,
    next_offset,
    unpack_anyhow,
)
from afresh.streams.topics import WRITTEN_BY_OTHERS

logger = logging.getLogger(__name__)

LENGTH_AT, LENGTH_END = 8, 12
"""Where the length of a batch stands; it counts the bytes behind it."""

OwnReader = Callable[[bytes], Any]
"""A client's own reader of batches."""


class Batch:
    """A batch as a client reads it, whose records come out whatever they are.

    Parameters
    ----------
    batch
        The client's own batch.
    raw
        Its bytes.
    handed_on
        Whether a batch that nothing can unpack is handed on as one record. If not, it is an error.

    Attributes
    ----------
    raw
        Its bytes.
    """

    def __init__(self, batch: Any, raw: bytes, *, handed_on: bool) -> None:
        self._batch = batch
        self._handed_on = handed_on
        self.raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    @property
    def is_control_batch(self) -> bool:
        """Whether the batch holds the marker of a transaction; one that compaction has emptied marks nothing."""
        return bool(self._batch.is_control_batch) and count_records(self.raw) > 0

    def validate_crc(self) -> bool:
        """Whether the checksum is right; if not, it is an error with our words."""
        if not self._batch.validate_crc():
            raise CorruptRecordException("wrong checksum")
        return True

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            # All or nothing: after half a batch, nobody could say at which offset the rest stands.
            return iter(list(self._batch))
        except Exception:  # each codec has its own errors
            return iter(self._unpack_anyhow())

    def _unpack_anyhow(self) -> list[UnpackedRecord]:
        records = unpack_anyhow(self.raw)
        if records and isinstance(records[0].value, UnreadableBatch):
            if not self._handed_on:
                raise CorruptRecordException("cannot be unpacked")
            logger.warning(
                "%s It is handed on as one record.",
                records[0].value.why,
                extra={"offset": records[0].offset},
            )
        return records


class Batches:
    """The batches of a fetch, in place of a client's own ``MemoryRecords``.

    Parameters
    ----------
    own
        The client's own reader, which takes each batch apart first.
    data
        What Kafka sent; it may end within a batch.

    Attributes
    ----------
    newest
        The batch returned last.
    handed_on
        Whether a batch that nothing can unpack is handed on as one record.
    """

    def __init__(self, own: OwnReader, data: bytes) -> None:
        self._own = own
        self._data = bytes(data)
        self._start, self._end = 0, self._end_of_batch(0)
        self.newest: Any = None
        self.handed_on = True

    def size_in_bytes(self) -> int:
        """Return how many bytes Kafka sent."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether another whole batch follows."""
        return self._end > self._start

    def skip_to(self, offset: int) -> None:
        """Skip the batches whose records stand before an offset."""
        while self.has_next() and next_offset(self._data[self._start : self._end]) <= offset:
            self._start, self._end = self._end, self._end_of_batch(self._end)

    def next_batch(self) -> Any:
        """Return the next whole batch, or None."""
        if not self.has_next():
            return None
        raw = self._data[self._start : self._end]
        self._start, self._end = self._end, self._end_of_batch(self._end)
        batch = self._own(raw).next_batch()
        # Formats before 2 have no header of a batch. Kafka 4 does not store them any more.
        self.newest = Batch(batch, raw, handed_on=self.handed_on) if raw[FORMAT] >= 2 else batch
        return self.newest

    def _end_of_batch(self, start: int) -> int:
        if start + LENGTH_END > len(self._data):
            return start
        length = int.from_bytes(self._data[start + LENGTH_AT : start + LENGTH_END], "big", signed=True)
        end = start + LENGTH_END + length
        return end if end <= len(self._data) else start


class FetchedRecords:
    """aiokafka's own batches, which are several times as fast, with the bytes to read them again.

    Parameters
    ----------
    data
        What Kafka sent.
    """

    def __init__(self, data: bytes) -> None:
        own = OWN_READER(data)
        self.has_next, self.next_batch, self.size_in_bytes = own.has_next, own.next_batch, own.size_in_bytes
        self.data = data


class PartitionRecords(aiokafka.consumer.fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of a partition in a fetch: aiokafka reads them until it fails, and ``Batches`` from there on.

    What nothing can unpack in a topic that others write is theirs, and goes to the dead letters. In a topic of our own
    it holds rows or records that nobody can do without.
    """

    _records: Any

    def _unpack_records(self) -> Iterator[ConsumerRecord[Any, Any]]:
        self._first = self.next_fetch_offset
        try:
            yield from super()._unpack_records()
        except Exception:  # each codec has its own errors
            yield from self._unpack_carefully()

    def _unpack_carefully(self) -> Iterator[ConsumerRecord[Any, Any]]:
        batches = Batches(OWN_READER, self._records.data)
        batches.handed_on = self._tp.topic.rpartition(".")[2] in WRITTEN_BY_OTHERS
        batches.skip_to(self.next_fetch_offset)
        self._records = batches
        try:
            yield from super()._unpack_records()
        except CorruptRecordException as error:
            # What stands before the damaged batch is handed over first. The next fetch begins with the batch.
            if self.next_fetch_offset == self._first:
                raise AfreshError(self._damage(error)) from error

    def _damage(self, error: Exception) -> str:
        batch, place = self._records.newest, f"{self._tp.topic}-{self._tp.partition}"
        return (
            f"Kafka's copy of the batch at offset {batch.base_offset} of {place} is damaged "
            f"({codec_of(batch.raw)}, {error.args[0]}), and nothing behind it can be read; start again, and if that "
            f"does not help, make another replica the leader of {place}, or delete its records before offset "
            f"{batch.next_offset} with Kafka's own tools"
        )


OWN_READER = aiokafka.consumer.fetcher.MemoryRecords
aiokafka.consumer.fetcher.MemoryRecords = FetchedRecords
aiokafka.consumer.fetcher.PartitionRecords = PartitionRecords
# kafka-python is slow itself, so that all batches may be read with care.
kafka.consumer.fetcher.MemoryRecords = partial(Batches, kafka.consumer.fetcher.MemoryRecords)
