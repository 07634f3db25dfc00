import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models import scorers
from afresh.state.judged import examples
from afresh.state.judged.examples import EXAMPLES_IN_RECORD, JUDGED, TAUGHT, UNJUDGED, Collected, lesson_of
from afresh.state.versions import RowVersionError

NAMES = st.sampled_from(["films", "books", "ünïcode"])


@given(
    st.lists(st.tuples(st.integers(0, 2**60), NAMES, NAMES, st.sampled_from([UNJUDGED, JUDGED])), max_size=40)
)
def test_what_is_collected_is_what_is_read(drawn: list[tuple[int, str, str, int]]) -> None:
    collected = Collected(3)
    for offset, domain, platform, became in drawn:
        collected.add(offset, domain, platform, {"became": became, "received": offset + 1})
    read = [examples.unpack(packed) for packed in collected.records(9)]
    found = [
        (int(offset), record.domains[each["domain"]], record.platforms[each["platform"]], int(each["became"]))
        for record in read
        for offset, each in zip(record.places(), record.examples(), strict=True)
    ]
    assert found == drawn
    assert {(record.source, record.incarnation) for record in read} <= {(3, 9)}


def test_many_examples_are_divided_into_records_of_limited_size() -> None:
    collected = Collected(0)
    for offset in range(2 * EXAMPLES_IN_RECORD + 1):
        collected.add(offset, "films", "web", {})
    records = collected.records(0)
    assert [len(examples.unpack(packed).examples()) for packed in records] == [512, 512, 1]
    assert max(map(len, records)) < 160_000


def test_a_lesson_is_read_bit_by_bit() -> None:
    collected, rng = Collected(0), np.random.default_rng(1)
    gradient = rng.normal(size=2 * len(scorers.NAMES)).astype(np.float32)
    situation = rng.normal(size=5).astype(np.float32)
    fields = {"became": TAUGHT, "item": 2**63 + 5, "trust": 0.5, "gradient": gradient, "situation": situation}
    collected.add(7, "films", "web", fields)
    (record,) = collected.together(0)
    lesson = lesson_of(record.examples()[0], 4)
    assert (lesson.source, lesson.item, lesson.trust) == (4, 2**63 + 5, 0.5)
    assert np.array_equal(lesson.gradient, gradient)
    assert np.array_equal(lesson.situation, situation)


def test_a_record_of_a_newer_program_is_refused() -> None:
    collected = Collected(0)
    collected.add(7, "films", "web", {})
    (record,) = collected.together(0)
    newer = msgspec.msgpack.encode(msgspec.structs.replace(record, version=2))
    with pytest.raises(RowVersionError, match="version 2"):
        examples.unpack(newer)
