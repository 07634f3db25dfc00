import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.streams.times import EARLIEST_MS, LAST_MS, milliseconds, read_odd_text, unit_of, unusable

FACTORS = {"milliseconds": 1, "microseconds": 1000, "nanoseconds": 1_000_000}


def odd(text: str) -> datetime:
    return read_odd_text(json.dumps(text).encode())


def test_times_are_ms_since_1970() -> None:
    assert milliseconds(5) == 5
    assert milliseconds(datetime(1970, 1, 1, 0, 0, 1, 5999, UTC)) == 1005


@given(st.integers(EARLIEST_MS, LAST_MS))
def test_a_number_tells_its_unit(ms: int) -> None:
    assert unit_of(ms // 1000) == "seconds"
    for unit, factor in FACTORS.items():
        assert unit_of(ms * factor) == unit


@pytest.mark.parametrize(
    "number", [0, -1, 7, EARLIEST_MS // 1000 - 1, Decimal("1e999999999"), Decimal("1e-9")]
)
def test_other_numbers_have_no_unit(number: Decimal | int) -> None:
    assert unit_of(number) is None


def test_a_sentence_names_the_unit_of_a_number_alone() -> None:
    assert unusable(1_700_000_000) == "The time 1700000000 looks like seconds; send milliseconds since 1970."
    for when in (7, 2 * EARLIEST_MS, datetime(1980, 1, 1, tzinfo=UTC)):
        assert unusable(when) == f"The time {when} is before 1990 or too far ahead."


@pytest.mark.parametrize(
    ("leap", "next_"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31t23:59:60.25z", "2017-01-01T00:00:00.250000Z"),
        ("1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00Z"),
        ("2016-02-28 12:00:60+0530", "2016-02-28T06:31:00Z"),
    ],
)
def test_a_leap_second_is_the_second_after_it(leap: str, next_: str) -> None:
    assert odd(leap) == datetime.fromisoformat(next_)
    assert odd(leap) - odd(leap.replace(":60", ":59", 1)) == timedelta(seconds=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2016-12-31T23:59:61Z",
        "2016-12-31T23:60:60Z",
        "2016-12-31T23:59:60",
        "9999-12-31T23:59:60Z",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        odd(text)


@pytest.mark.parametrize("text", ["7", "-7", "1700000000", "1700000000.5", "9" * 5000])
def test_a_string_of_digits_is_refused_with_what_to_send(text: str) -> None:
    with pytest.raises(
        msgspec.ValidationError, match=r"string of digits.*; send milliseconds since 1970 as a number$"
    ):
        odd(text)
