"""Record batches as Kafka stores them, unpacked whatever a producer has put into them.

Kafka's brokers check less than clients do. aiokafka and kafka-python decode the keys of headers as UTF-8, and end with
an error at a key that is not; so one record of a C program would end every worker, again after each restart. They also
differ in the framings of codecs that they know. A batch that a client cannot unpack is therefore unpacked here.

https://kafka.apache.org/documentation/#recordbatch describes the format.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cramjam

BATCH_HEADER = struct.Struct(">qiibIhiqqqhii")
"""Offset, length, leader epoch, format, checksum, attributes, last offset, times, producer, number of records."""

FORMAT = 16
"""Position of the byte that holds the format: 2 since Kafka 0.11."""

CODEC_BITS = 0x07
APPEND_TIME_BIT = 0x08

XERIAL = b"\x82SNAPPY\x00"
"""How a snappy stream of Java begins. Some brokers write the version behind it in the other byte order."""

XERIAL_HEADER_BYTES = 16

Decompress = Callable[[bytes], bytes]


class UnreadableBatch(bytes):
    """The bytes of a batch that nothing can unpack, as the value of one record in its place.

    Attributes
    ----------
    why
        Sentence that says what is wrong.
    """

    why: str = ""


@dataclass(frozen=True, slots=True)
class UnpackedRecord:
    """A record with the attributes that both clients expect; its headers are left out, because nobody reads them."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    size_in_bytes: int = 0
    headers: tuple[()] = ()
    checksum: None = None

    def validate_crc(self) -> bool:
        """Whether the record's own checksum is right: it has none."""
        return True


def count_records(raw: bytes) -> int:
    """Return how many records a batch holds; compaction leaves batches without any."""
    return int(BATCH_HEADER.unpack_from(raw)[-1])


def unpack_anyhow(raw: bytes) -> list[UnpackedRecord]:
    """Unpack a batch; if that is impossible, return one record whose value is an ``UnreadableBatch``.

    The one record has the offset of the batch, so that every reader gives it the same place.
    """
    try:
        return list(_unpack(raw))
    except Exception as error:  # each codec has its own errors
        header, codec = BATCH_HEADER.unpack_from(raw), codec_of(raw)
        base, latest = header[0], header[8]
        unreadable = UnreadableBatch(raw)
        count = count_records(raw)
        unreadable.why = (
            f"The batch of {count} records at offset {base} cannot be unpacked ({codec}: {error})."
        )
        return [UnpackedRecord(base, latest, 0, None, unreadable)]


def next_offset(raw: bytes) -> int:
    """Return the offset behind a batch."""
    base, *_, last, _, _, _, _, _, _ = BATCH_HEADER.unpack_from(raw)
    return int(base + last + 1)


def codec_of(raw: bytes) -> str:
    """Return the name of a batch's codec."""
    number = BATCH_HEADER.unpack_from(raw)[5] & CODEC_BITS
    return CODECS[number][0] if number in CODECS else f"codec {number}"


def _unpack(raw: bytes) -> Iterator[UnpackedRecord]:
    base, *_, attributes, _, first, latest, _, _, _, count = BATCH_HEADER.unpack_from(raw)
    if attributes & CODEC_BITS not in CODECS:
        raise LookupError("no such codec is known")
    _, decompress = CODECS[attributes & CODEC_BITS]
    payload = decompress(raw[BATCH_HEADER.size :])
    appended = bool(attributes & APPEND_TIME_BIT)
    position = 0
    for _ in range(count):
        length, start = _varint(payload, position)
        position = start + length
        if length < 0 or position > len(payload):
            raise IndexError("a record ends behind its batch")
        delta, at = _varint(payload, start + 1)
        number, at = _varint(payload, at)
        key, at = _bytes(payload, at, position)
        value, _ = _bytes(payload, at, position)
        timestamp = latest if appended else first + delta
        yield UnpackedRecord(base + number, timestamp, int(appended), key, value, length)
    if position != len(payload):
        raise IndexError("bytes follow the last record")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Read a number of variable length; return it with the position behind it."""
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), position
        shift += 7


def _bytes(data: bytes, position: int, end: int) -> tuple[bytes | None, int]:
    length, position = _varint(data, position)
    if length < 0:
        return None, position
    if position + length > end:
        raise IndexError("a key or a value ends behind its record")
    return data[position : position + length], position + length


def _snappy(payload: bytes) -> bytes:
    if not payload.startswith(XERIAL):
        return bytes(cramjam.snappy.decompress_raw(payload))
    blocks, position = [], XERIAL_HEADER_BYTES
    while position < len(payload):
        (length,) = struct.unpack_from(">i", payload, position)
        position += 4
        blocks.append(bytes(cramjam.snappy.decompress_raw(payload[position : position + length])))
        position += length
    return b"".join(blocks)


CODECS: dict[int, tuple[str, Decompress]] = {
    0: ("no codec", bytes),
    1: ("gzip", lambda payload: bytes(cramjam.gzip.decompress(payload))),
    2: ("snappy", _snappy),
    3: ("lz4", lambda payload: bytes(cramjam.lz4.decompress(payload))),
    4: ("zstd", lambda payload: bytes(cramjam.zstd.decompress(payload))),
}
"""Name and decompression of each codec, by its number in a batch."""
