import gzip
import tomllib
from collections.abc import Callable
from pathlib import Path

import cramjam
import lz4.frame
import pytest
import snappy
import zstandard
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.codec import snappy_encode

from afresh.streams.batches import (
    BATCH_HEADER,
    FORMAT,
    UnreadableBatch,
    codec_of,
    count_records,
    next_offset,
    unpack_anyhow,
)

ROOT = Path(__file__).parents[2]
RECORDS = [(b"k", b"v"), (None, None), (b"", b""), (b"\xff", b"x" * 3_000_000)]
NO_CODEC = 0


def packed(
    records: list[tuple[bytes | None, bytes | None]] = RECORDS, base: int = 7, codec: int = NO_CODEC
) -> bytes:
    """Make a batch as a client does, at the offset that a broker gives it."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 16_000_000)
    for number, (key, value) in enumerate(records):
        builder.append(number, 1000 + number, key, value, [("header", b"1"), ("none", None)])
    return base.to_bytes(8, "big") + bytes(builder.build())[8:]


def with_payload(raw: bytes, codec: int, payload: bytes) -> bytes:
    """Return a batch with another codec and other bytes as its records."""
    fields = list(BATCH_HEADER.unpack_from(raw))
    fields[1] = BATCH_HEADER.size - 12 + len(payload)
    fields[5] = fields[5] & ~7 | codec
    return BATCH_HEADER.pack(*fields) + payload


def compressed(codec: int, compress: Callable[[bytes], bytes]) -> bytes:
    raw = packed()
    return with_payload(raw, codec, compress(raw[BATCH_HEADER.size :]))


def little_endian(payload: bytes) -> bytes:
    """Compress as a broker does that writes the version of the snappy stream in the other byte order."""
    framed: bytes = snappy_encode(payload)
    return framed[:8] + b"\1\0\0\0\1\0\0\0" + framed[16:]


def in_two_frames(payload: bytes) -> bytes:
    return b"".join(lz4.frame.compress(part) for part in (payload[:100], payload[100:]))


FRAMINGS = {
    "none": (0, bytes),
    "gzip": (1, gzip.compress),
    "snappy, raw": (2, snappy.compress),
    "snappy, as Java frames it": (2, snappy_encode),
    "snappy, little-endian": (2, little_endian),
    "lz4": (3, lambda payload: lz4.frame.compress(payload, block_linked=False)),
    "lz4, linked blocks": (3, lambda payload: lz4.frame.compress(payload, block_linked=True)),
    "lz4, checksums": (3, lambda payload: lz4.frame.compress(payload, content_checksum=True)),
    "lz4, two frames": (3, in_two_frames),
    "zstd": (4, zstandard.compress),
    "zstd, no size": (4, zstandard.ZstdCompressor(write_content_size=False).compress),
    "zstd, stream": (4, lambda payload: bytes(cramjam.zstd.compress(payload))),
}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_batch_is_unpacked_whatever_its_codec_and_framing(framing: str) -> None:
    records = unpack_anyhow(compressed(*FRAMINGS[framing]))
    assert [(record.key, record.value) for record in records] == RECORDS
    assert [record.offset for record in records] == [7, 8, 9, 10]
    assert [record.timestamp for record in records] == [1000, 1001, 1002, 1003]


def test_records_are_those_that_the_client_reads() -> None:
    raw = packed()
    ours, theirs = unpack_anyhow(raw), list(DefaultRecordBatch(raw))
    for one, other in zip(ours, theirs, strict=True):
        for name in ("offset", "timestamp", "timestamp_type", "key", "value"):
            assert getattr(one, name) == getattr(other, name)


def test_kafkas_own_time_counts_where_the_topic_says_so() -> None:
    raw = packed()
    fields = list(BATCH_HEADER.unpack_from(raw))
    fields[5] |= 8
    records = unpack_anyhow(BATCH_HEADER.pack(*fields) + raw[BATCH_HEADER.size :])
    assert {(record.timestamp, record.timestamp_type) for record in records} == {(1003, 1)}


def test_the_keys_of_headers_may_be_any_bytes() -> None:
    raw = packed([(b"k", b"v")]).replace(b"header", b"\xff\xfe\xfd\xfc\xfb\xfa")
    with pytest.raises(UnicodeDecodeError):
        list(DefaultRecordBatch(raw))
    (record,) = unpack_anyhow(raw)
    assert (record.key, record.value, record.headers) == (b"k", b"v", ())
    assert record.validate_crc()


@pytest.mark.parametrize("codec", range(1, 8))
def test_what_nothing_can_unpack_is_one_record_that_says_why(codec: int) -> None:
    raw = with_payload(packed(), codec, b"garbage" * 9)
    (record,) = unpack_anyhow(raw)
    assert (record.offset, record.timestamp, record.key) == (7, 1003, None)
    assert isinstance(record.value, UnreadableBatch)
    assert record.value == raw
    assert "4 records at offset 7" in record.value.why
    assert codec_of(raw) in record.value.why


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x7f\0\0\0", packed()[BATCH_HEADER.size :] + b"\0"])
def test_a_structure_that_does_not_fit_its_batch_is_one_record_too(payload: bytes) -> None:
    (record,) = unpack_anyhow(with_payload(packed(), 0, payload))
    assert isinstance(record.value, UnreadableBatch)


def test_a_key_that_ends_behind_its_record_is_not_read() -> None:
    raw = bytearray(packed([(b"key", b"value")]))
    raw[BATCH_HEADER.size + 4] = 0x7E
    (record,) = unpack_anyhow(bytes(raw))
    assert isinstance(record.value, UnreadableBatch)


def test_the_header_tells_format_codec_and_number_of_records() -> None:
    raw = packed()
    assert (raw[FORMAT], codec_of(raw), count_records(raw), next_offset(raw)) == (2, "no codec", 4, 11)
    assert codec_of(with_payload(raw, 4, b"")) == "zstd"
    assert codec_of(with_payload(raw, 6, b"")) == "codec 6"


def test_the_packages_of_all_codecs_come_with_afresh() -> None:
    """aiokafka and kafka-python leave them to whoever installs them, and end with an error without them."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    pinned = (ROOT / "deploy/constraints.txt").read_text(encoding="utf-8").splitlines()
    for package in ("cramjam", "lz4", "python-snappy", "zstandard"):
        assert any(each.startswith(f"{package}>=") for each in needed), package
        assert any(each.startswith(f"{package}==") for each in pinned), package
