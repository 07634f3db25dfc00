"""Rows of earlier programs, byte by byte: after a change of a layout they must still be readable."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from afresh.state.moments import Moment
from afresh.state.records import Interaction
from afresh.state.rows import behaviour, content, users
from afresh.state.rows.content import ContentRow, Vector
from afresh.state.rows.details import UNKNOWN
from afresh.state.rows.received import ReceivedWindow
from afresh.state.rows.users import RECENT_EVENTS, UserRow, packed_key
from afresh.state.store.changes import Change
from afresh.state.store.marks import PARTITION_ROW_KEY, PartitionRow
from afresh.state.store.rows import MemoryRows
from afresh.state.versions import RowVersionError, unpack_known

USER = bytes.fromhex(
    "9c02cf0000018bcfe5680003a26532cf0000018bcfe56fd0c4107538234d126817443e64f81f441b5c4ec40801f1536500f15365c418b497"
    "3ad4fb586691efea503b02247e1fa07203fd72379fc502c400c4048ba8fe7d81a566696c6d7303"
)
"""A user who viewed i1, liked i2 and disliked i3, written before rows had the fields ``hour`` and ``taught``."""

USER_32 = (
    bytes.fromhex("9f02cf0000018bcfe5680020a3653331cf0000018bcfe56800c4083e64f81f441b5c4ec40400f15365c50100")
    + b"".join(number.to_bytes(8, "little") for number in range(32, 0, -1))
    + bytes.fromhex("01c400c40081a566696c6d7320ce0007349e01c4047538234d")
)
"""A user who viewed i1 and bought i2, when rows remembered 32 events: here the keys 32 to 1."""

CONTENT = bytes.fromhex(
    "9a01a566696c6d73a5416c69656ea641206372657782a479656172cd07bba667656e72657391a6486f72726f72c3cfeaf06c6480b2cd11c4"
    "04cd38663aa66d696e696c6da131"
)
BEHAVIOUR = bytes.fromhex(
    "0200000000030000000000c03f0068e5cf8b0100000000803f0000803f0000803f0000803f0000803f0000803f0000803f0000803f000080"
    "3f0000803f0000803f0000803f0000803f0000803f07000000000000000000003f"
)
PARTITION = bytes.fromhex("930181a66576656e7473c4100700000000000000ffffffffffffffffc4046b657074")
PAGE = bytes.fromhex("00000000000000000b00000000000000")

decoder = msgspec.msgpack.Decoder(PartitionRow)


def test_a_users_row_of_an_earlier_program_is_read_and_goes_on() -> None:
    row = users.unpack(USER)
    assert row == UserRow(
        since=1_700_000_000_000,
        revision=3,
        last_event="e2",
        last_time=1_700_000_002_000,
        items=packed_key("i2") + packed_key("i1"),
        times=np.array([1_700_000_001, 1_700_000_000], "<u4").tobytes(),
        events=packed_key("e2") + packed_key("e1") + packed_key("e0"),
        taken=2,
        refused=packed_key("i3")[:4],
        domains={"films": 3},
        details=2 * UNKNOWN,
        began=2,
    )
    later = Interaction(0, 3, 1, "e3", "view", 1_700_000_003_000, "ann", "i4", "web", "films")
    example = users.fold(row, later, 0, 3)
    assert example is not None
    assert example.history == packed_key("i2") + packed_key("i1")
    assert example.details == 2 * UNKNOWN
    assert users.unpack(users.pack(row)) == row


def test_a_users_row_that_remembers_more_events_keeps_the_newest() -> None:
    row = users.unpack(USER_32)
    known = [number for number in range(1, 33) if row.knows(number.to_bytes(8, "little"))]
    assert known == [*range(33 - RECENT_EVENTS, 33)]
    assert (row.revision, row.items, row.bought) == (32, packed_key("i1"), packed_key("i2")[:4])
    assert users.unpack(users.pack(row)) == row


def test_a_content_row_of_an_earlier_program_is_read() -> None:
    assert content.unpack(CONTENT) == ContentRow(
        domain="films",
        title="Alien",
        text="A crew",
        attributes={"year": 1979, "genres": ["Horror"]},
        content=content.content_hash("x"),
        vectors=[
            Vector(
                content.TEXT,
                "minilm",
                "1",
                content.content_hash("x"),
                np.array([0.6, 0.8], "<f2").tobytes(),
            )
        ],
    )


CONTENT_2 = bytes.fromhex(
    "9f02a566696c6d73a5416c69656ea641206372657782a479656172cd07bba667656e72657391a6486f72726f72c3cfeaf06c6480b2cd11"
    "c400a0a09195a474657874a66d696e696c6da131cfeaf06c6480b2cd11c404cd38663acf0000018bcfe568000107c2"
)


def test_a_content_row_of_version_2_is_read() -> None:
    (vector,) = content.unpack(CONTENT).vectors
    row = content.unpack(CONTENT_2)
    assert (row.moment, row.vectors) == (Moment(1_700_000_000_000, 1, 7), [vector])
    assert not row.deleted


def test_a_behaviour_row_of_an_earlier_program_is_read() -> None:
    (row,) = behaviour.unpack([BEHAVIOUR])
    assert (row["number"], row["examples"], row["mass"], row["time"]) == (0, 3, 1.5, 1_700_000_000_000)
    assert row["counts"].tolist() == [1.0] * 14
    assert row["pairs"][:2].tolist() == [(7, 0.5, 0.0), (0, 0.0, 0.0)]
    assert row["version"] == behaviour.BEHAVIOUR_ROW_VERSION


def test_marks_and_pages_of_an_earlier_program_are_read() -> None:
    change = Change(MemoryRows({PARTITION_ROW_KEY: PARTITION}), 2)
    assert change.agent_state == b"kept"
    assert not change.marks.count_offset("events", 9, 0, 7)
    assert change.marks.count_offset("events", 9, 1, 0)
    window = ReceivedWindow(MemoryRows({(0).to_bytes(4, "little"): PAGE}), 256)
    assert window.remembered == 1
    assert not window.remember(11)


@pytest.mark.parametrize("version", [1, 2])
def test_known_versions_are_read(version: int) -> None:
    packed = msgspec.msgpack.encode([version, {}, b"kept"])
    assert unpack_known(decoder, packed, "A row", known=2).agent_state == b"kept"


@pytest.mark.parametrize(
    ("packed", "what"),
    [
        (msgspec.msgpack.encode([3, {}, b""]), "A row has version 3; this program knows 2: start the afresh"),
        (msgspec.msgpack.encode([0, {}, b""]), "A row has version 0; this program knows 2: start the afresh"),
        (msgspec.msgpack.encode([2, "new"]), "A row has a layout that this program does not know"),
        (b"\xc1", "A row has a layout that this program does not know"),
    ],
)
def test_all_other_versions_are_refused_with_advice(packed: bytes, what: str) -> None:
    with pytest.raises(RowVersionError, match=what) as refused:
        unpack_known(decoder, packed, "A row", known=2)
    assert "replay the events under another AFRESH_NAMESPACE; the row is unchanged." in str(refused.value)
