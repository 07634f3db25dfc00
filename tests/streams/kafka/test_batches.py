from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import aiokafka.consumer.fetcher as ours
import kafka.consumer.fetcher as theirs
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from faust.types import TP
from kafka.record.util import calc_crc32c

from afresh.state.errors import AfreshError
from afresh.streams.batches import BATCH_HEADER, UnreadableBatch
from afresh.streams.kafka.batches import Batches
from tests.streams.test_batches import packed, with_payload

PLACE = TP("test.events", 0)
CONTROL, TRANSACTIONAL = 0x20, 0x10
PRODUCER = 5
ABORT = b"\0\0\0\0"
"""Key of the record that marks an aborted transaction."""


def signed(raw: bytes) -> bytes:
    """Give a batch the checksum that fits it."""
    checksum: int = calc_crc32c(raw[21:])
    return raw[:17] + checksum.to_bytes(4, "big") + raw[21:]


def transactional(raw: bytes, attributes: int = 0, last: int | None = None) -> bytes:
    """Make a batch one of a producer with transactions."""
    fields = list(BATCH_HEADER.unpack_from(raw))
    fields[5] |= TRANSACTIONAL | attributes
    fields[9] = PRODUCER
    if last is not None:
        fields[6] = last
    return signed(BATCH_HEADER.pack(*fields) + raw[BATCH_HEADER.size :])


def plain(base: int, *values: bytes) -> bytes:
    return signed(packed([(b"k", value) for value in values], base))


def emptied_marker(base: int) -> bytes:
    """Make a marker as compaction leaves it: its batch stays, because Kafka still remembers its producer."""
    empty = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1000).build()
    return transactional(base.to_bytes(8, "big") + bytes(empty)[8:], CONTROL, last=0)


def marker(base: int) -> bytes:
    return transactional(packed([(ABORT, b"\0" * 6)], base), CONTROL)


def odd_header(base: int) -> bytes:
    return signed(packed([(b"k", b"odd")], base).replace(b"header", b"\xff\xfe\xfd\xfc\xfb\xfa"))


def garbage(base: int) -> bytes:
    return signed(with_payload(packed([(b"k", b"1"), (b"k", b"2")], base), 4, b"garbage" * 5))


Read = Callable[[bytes], Iterator[Any]]


def by_aiokafka(
    data: bytes, aborted: tuple[int, int] | None = None, start: int = 0, place: TP = PLACE
) -> Iterator[Any]:
    """Read what Kafka sent as a worker does."""
    batches = ours.MemoryRecords(data)
    assert batches.has_next()
    return iter(
        ours.PartitionRecords(
            place, batches, [aborted] if aborted else [], start, None, None, True, ours.READ_COMMITTED
        )
    )


def by_kafka_python(data: bytes, aborted: tuple[int, int] | None = None, start: int = 0) -> Iterator[Any]:
    """Read what Kafka sent as the tools do."""
    found = [SimpleNamespace(producer_id=aborted[0], first_offset=aborted[1])] if aborted else []
    records = theirs.Fetcher.PartitionRecords(
        start,
        PLACE,
        theirs.MemoryRecords(data),
        check_crcs=False,
        isolation_level=theirs.IsolationLevel.READ_COMMITTED,
        aborted_transactions=found,
    )
    return iter(records.take())


BOTH = pytest.mark.parametrize("read", [by_aiokafka, by_kafka_python])


@BOTH
@pytest.mark.parametrize("odd", [emptied_marker, odd_header, garbage, marker])
def test_odd_batches_are_read_and_those_behind_them_too(read: Read, odd: Callable[[int], bytes]) -> None:
    found = list(read(plain(0, b"a", b"b") + odd(2) + plain(4, b"c")))
    assert [record.value for record in found if record.offset != 2] == [b"a", b"b", b"c"]
    expected: dict[Any, list[bytes]] = {emptied_marker: [], marker: [], odd_header: [b"odd"]}
    assert [record.value for record in found if record.offset == 2] == expected.get(odd, [garbage(2)])


@BOTH
def test_a_batch_that_nothing_can_unpack_is_one_record_and_is_read_once(read: Any) -> None:
    (record,) = read(garbage(2))
    assert isinstance(record.value, UnreadableBatch)
    assert (record.offset, record.key) == (2, None)
    # Whoever committed the one record reads on within the batch.
    assert not list(read(garbage(2), None, 3))


@BOTH
def test_only_aborted_records_of_the_producer_are_left_out(read: Any) -> None:
    data = transactional(packed([(b"k", b"aborted")], 0)) + plain(1, b"between") + marker(2)
    data += transactional(packed([(b"k", b"committed")], 3))
    assert [record.value for record in read(data, (PRODUCER, 0))] == [b"between", b"committed"]


def test_the_position_passes_an_emptied_marker_at_the_end() -> None:
    batches = ours.MemoryRecords(emptied_marker(9))
    records = ours.PartitionRecords(PLACE, batches, [], 9, None, None, True, ours.READ_COMMITTED)
    assert list(records) == []
    assert records.next_fetch_offset == 10


def test_a_damaged_batch_is_named_once_the_records_before_it_are_out() -> None:
    damaged = bytearray(plain(2, b"c", b"d"))
    damaged[-1] ^= 1
    data = plain(0, b"a", b"b") + damaged
    assert [record.value for record in by_aiokafka(bytes(data))] == [b"a", b"b"]
    with pytest.raises(
        AfreshError, match=r"offset 2 of test.events-0 is damaged .*checksum.*before offset 4 "
    ):
        list(by_aiokafka(bytes(damaged), start=2))


def test_what_nothing_can_unpack_in_a_topic_of_our_own_is_refused_in_a_sentence() -> None:
    own = TP("test.users.changelog", 1)
    assert [each.value for each in by_aiokafka(plain(0, b"a") + garbage(1), place=own)] == [b"a"]
    with pytest.raises(
        AfreshError, match=r"offset 1 of test.users.changelog-1 is damaged \(zstd, cannot be unp"
    ):
        list(by_aiokafka(garbage(1), start=1, place=own))


@pytest.mark.parametrize("cut", [1, 11, 12, 40, 1000])
def test_a_batch_that_kafka_has_cut_off_is_fetched_again(cut: int) -> None:
    whole, rest = plain(0, b"a"), plain(1, b"b" * 2000)[:cut]
    batches = theirs.MemoryRecords(whole + rest)
    assert isinstance(batches, Batches)
    assert batches.next_batch().base_offset == 0
    assert not batches.has_next()
    assert batches.next_batch() is None
    assert batches.size_in_bytes() == len(whole) + cut


def test_batches_of_formats_that_kafka_no_longer_writes_are_the_clients_own() -> None:
    from aiokafka.record.legacy_records import LegacyRecordBatchBuilder

    builder = LegacyRecordBatchBuilder(1, 0, 1000)
    builder.append(0, 5, b"k", b"old")
    assert [record.value for record in by_aiokafka(bytes(builder.build()))] == [b"old"]
