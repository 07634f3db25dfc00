import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import factors
from state import users
from state.tables import RowVersionError
from state.users import (
    DOMAIN_LIMIT,
    HISTORY,
    RECENT_EVENTS,
    SEEN_LIMIT,
    USER_ROW_VERSION,
    UserRow,
    packed_key,
)

NOTHING = np.zeros(factors.DIMENSIONS, np.float32)

names = st.text(min_size=1, max_size=20)


def note(row: UserRow, event: str, time: int = 1000, received: int = 5000, domain: str = "films") -> None:
    row.note(event, packed_key(event), time, received, domain)


def code_of(name: str) -> npt.NDArray[np.float32]:
    (code,) = factors.item_codes(np.frombuffer(packed_key(name), "<u8"))
    return np.asarray(code)


rows = st.builds(
    UserRow,
    since=st.integers(-1, 2**62),
    revision=st.integers(0, 2**40),
    last_event=names,
    last_time=st.integers(0, 2**62),
    items=st.binary(max_size=64),
    times=st.binary(max_size=64),
    events=st.binary(max_size=64),
    seen=st.binary(max_size=64),
    vectors=st.binary(max_size=64),
    domains=st.dictionaries(names, st.integers(0, 2**40), max_size=3),
)


@given(rows)
def test_a_row_is_the_same_after_packing(row: UserRow) -> None:
    assert users.unpack(users.pack(row)) == row


def test_nobody_has_a_new_row() -> None:
    assert users.unpack(None) == UserRow()


def test_new_rows_share_nothing() -> None:
    first, second = users.unpack(None), users.unpack(None)
    note(first, "e1")
    assert second == UserRow()


def test_a_row_of_a_newer_version_is_refused_by_name() -> None:
    packed = users.pack(UserRow(version=USER_ROW_VERSION + 1))
    with pytest.raises(RowVersionError, match=r"user's row has version 2; this program knows 1"):
        users.unpack(packed)


def test_fields_that_a_newer_program_appended_are_passed_over() -> None:
    fields = msgspec.to_builtins(UserRow(revision=3), builtin_types=(bytes,))
    assert users.unpack(msgspec.msgpack.encode([*fields, "new"])).revision == 3


@given(st.lists(names, max_size=100, unique=True))
def test_the_history_holds_the_newest_items_newest_first(items: list[str]) -> None:
    row = UserRow()
    for number, item in enumerate(items):
        row.take(packed_key(item), number * 1000, NOTHING)
    expected = [int.from_bytes(packed_key(item), "little") for item in reversed(items)][:HISTORY]
    assert users.history_of(row).tolist() == expected
    assert np.frombuffer(row.times, "<u4").tolist() == [*range(len(items))][::-1][:HISTORY]


def test_an_item_taken_twice_stands_twice_in_the_history() -> None:
    row = UserRow()
    for _ in range(2):
        row.take(packed_key("i"), 1000, NOTHING)
    assert len(users.history_of(row)) == 2


@given(st.lists(st.integers(0, 6_000), max_size=6_000).map(lambda numbers: [f"i{n}" for n in numbers]))
def test_seen_items_are_the_newest_distinct_ones(items: list[str]) -> None:
    row = UserRow()
    for item in items:
        row.leave_out(packed_key(item))
    distinct = list(dict.fromkeys(items))
    expected = [int.from_bytes(packed_key(item)[:4], "little") for item in reversed(distinct)]
    assert users.seen_of(row).tolist() == expected


def test_of_more_items_than_the_limit_the_oldest_may_be_listed_again() -> None:
    row = UserRow(seen=np.arange(SEEN_LIMIT, dtype="<u4").tobytes())
    row.leave_out(packed_key("new"))
    seen = users.seen_of(row)
    assert len(seen) == SEEN_LIMIT
    assert seen[0] == int.from_bytes(packed_key("new")[:4], "little")
    assert SEEN_LIMIT - 1 not in seen


@given(st.lists(st.integers(0, 40), max_size=120))
def test_an_event_is_known_while_it_is_among_the_newest(numbers: list[int]) -> None:
    row, folded = UserRow(), list[int]()
    for number in numbers:
        event = f"e{number}"
        assert row.knows(packed_key(event)) == (number in folded[-RECENT_EVENTS:])
        note(row, event)
        folded.append(number)
    assert len(row.events) == 8 * min(len(numbers), RECENT_EVENTS)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 24))
def test_bytes_of_two_neighbouring_keys_are_not_taken_for_a_key(events: bytes, start: int) -> None:
    key = events[start : start + 8]
    expected = key in [events[place : place + 8] for place in range(0, len(events), 8)]
    assert UserRow(events=events).knows(key) == expected


def test_the_age_of_a_row_is_the_arrival_of_its_first_event() -> None:
    row = UserRow()
    note(row, "e1", received=7000)
    note(row, "e2", received=6000)
    assert (row.since, row.revision, row.last_event) == (7000, 2, "e2")


def test_events_out_of_order_keep_the_newest_time_and_count_all_the_same() -> None:
    row = UserRow()
    for event, time in (("new", 9_000), ("old", 2_000)):
        note(row, event, time=time)
        row.take(packed_key(event), time, NOTHING)
    assert (row.last_time, row.last_event, row.revision) == (9_000, "old", 2)
    assert np.frombuffer(row.times, "<u4").tolist() == [2, 9]
    assert users.ages_of(row).tolist() == [0.0, 0.0]


def test_ages_are_seconds_before_the_newest_item() -> None:
    row = UserRow()
    for item, time in (("a", 1_000), ("b", 61_000), ("c", 61_999)):
        row.take(packed_key(item), time, NOTHING)
    assert users.ages_of(row).tolist() == [0.0, 0.0, 60.0]
    assert users.ages_of(row).dtype == np.float32


@pytest.mark.parametrize(("time", "seconds"), [(-5_000, 0), (2**63 - 1, 2**32 - 1)])
def test_times_that_32_bits_do_not_hold_are_cut(time: int, seconds: int) -> None:
    row = UserRow()
    row.take(packed_key("i"), time, NOTHING)
    assert np.frombuffer(row.times, "<u4").tolist() == [seconds]


def test_interactions_are_counted_by_domain() -> None:
    row = UserRow()
    for number, domain in enumerate(["films", "books", "films"]):
        note(row, f"e{number}", domain=domain)
    assert row.domains == {"films": 2, "books": 1}


def test_domains_beyond_the_limit_are_not_counted_so_that_a_row_has_a_largest_size() -> None:
    row = UserRow()
    for number in range(DOMAIN_LIMIT + 5):
        note(row, f"e{number}", domain=f"d{number}")
    note(row, "again", domain="d0")
    assert len(row.domains) == DOMAIN_LIMIT
    assert row.domains["d0"] == 2


@given(st.lists(names, max_size=10))
def test_vectors_are_decayed_sums_of_the_codes_of_the_items_taken(items: list[str]) -> None:
    row = UserRow()
    expected = np.zeros((2, factors.DIMENSIONS))
    for item in items:
        row.take(packed_key(item), 0, code_of(item))
        expected = factors.DECAYS * expected + code_of(item)
    assert users.vectors_of(row).shape == (2, factors.DIMENSIONS)
    np.testing.assert_allclose(users.vectors_of(row), expected, rtol=1e-4, atol=1e-6)
