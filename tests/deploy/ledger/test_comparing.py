from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.deploy.ledger.comparing import (
    behaviour_fields,
    compare,
    differing,
    page_fields,
    rounded_elsewhere,
    shown,
)
from afresh.deploy.ledger.reading import PARTITION_ROW
from afresh.deploy.ledger.report import Report
from afresh.state.rows.behaviour import BEHAVIOUR_ROW_VERSION, ROW, BehaviourArray, BehaviourRows


def fields(packed: bytes) -> dict[str, Any]:
    if packed == b"?":
        raise ValueError("a question")
    return {"value": int(packed)}


def compared(due: dict[bytes, bytes], found: dict[bytes, bytes], **more: Any) -> Report:
    report = Report()
    compare(report, "users", "user", due, found, fields, **more)
    return report


def test_equal_rows_give_no_difference() -> None:
    report = compared({b"a": b"1", b"b": b"2"}, {b"b": b"2", b"a": b"1", PARTITION_ROW: b"own"})
    assert report.differences == []
    tally = report.tallies["users"]
    assert (tally.expected, tally.equal, tally.surplus) == (2, 2, 0)


@pytest.mark.parametrize(
    ("due", "found", "said"),
    [
        ({b"a": b"1"}, {}, "the row of user 'a' is missing"),
        ({b"a": b"1"}, {b"a": b"2"}, "the row of user 'a' is wrong: value 2 instead of 1"),
        ({b"a": b"1"}, {b"a": b"01"}, "the row of user 'a' is wrong: its bytes differ"),
        ({b"a": b"1"}, {b"a": b"?"}, "the row of user 'a' is wrong: it cannot be read (a question)"),
        ({}, {b"\xff": b"1"}, "the row of user '\N{REPLACEMENT CHARACTER}' comes from nothing in the input"),
    ],
)
def test_whatever_differs_is_named(due: dict[bytes, bytes], found: dict[bytes, bytes], said: str) -> None:
    (difference,) = compared(due, found).differences
    assert said in difference


def test_a_row_is_right_if_it_is_equal_once_packed_anew() -> None:
    report = compared({b"a": b"1"}, {b"a": b"01"}, anew=lambda due, row: str(int(row)).encode())
    assert report.differences == []


def test_a_row_that_cannot_be_packed_anew_is_wrong() -> None:
    report = compared({b"a": b"1"}, {b"a": b"?"}, anew=lambda due, row: str(int(row)).encode())
    assert report.tallies["users"].wrong == 1


def test_short_values_are_shown_and_long_ones_are_not() -> None:
    due = {"count": 3, "name": "x" * 100, "keys": np.arange(3), "same": 1}
    found = {"count": 4, "name": "y" * 100, "keys": np.arange(4), "same": 1}
    assert differing(due, found) == "count 4 instead of 3, name … instead of …, keys … instead of …"
    assert differing(due, found, leave_out=["name", "keys"]) == "count 4 instead of 3"


def test_a_key_that_is_not_utf8_is_shown_too() -> None:
    assert shown("zoë".encode()) == "'zoë'"
    assert shown(b"\xff") == "'\N{REPLACEMENT CHARACTER}'"


def test_packed_rows_unpack_into_named_fields() -> None:
    rows = BehaviourRows({})
    rows.array[rows.number_of(b"i1")]["examples"] = 7
    assert behaviour_fields(rows.packed(0))["examples"] == 7
    page = page_fields(np.array([3, 11, 12], "<u8").tobytes())
    assert (page["number"].tolist(), page["keys"].tolist()) == ([3], [11, 12])


@given(st.integers(0, 2**32 - 1), st.floats(-1e-6, 1e-6))
def test_a_row_that_another_processor_rounded_otherwise_is_right(seed: int, bits: float) -> None:
    due, found = faded(seed), faded(seed)
    for name in ("mass", "counts"):
        found[name] *= 1 + bits
    found["pairs"]["weight"] *= 1 + bits
    assert rounded_elsewhere(due.tobytes(), found.tobytes()) == due.tobytes()


@pytest.mark.parametrize("name", ["number", "examples", "mass", "time", "counts", "key", "weight", "next"])
def test_a_row_that_differs_by_more_than_rounding_is_left_as_it_is(name: str) -> None:
    due, found = faded(1), faded(1)
    values = found["pairs"][name] if name in ("key", "weight", "next") else found[name]
    values[...] = values + (values * 0.01 + 1).astype(values.dtype)
    assert rounded_elsewhere(due.tobytes(), found.tobytes()) == found.tobytes()


def faded(seed: int) -> BehaviourArray:
    """Make a behaviour row with numbers in every field."""
    rng, row = np.random.default_rng(seed), np.zeros((), ROW)
    row["version"], row["number"], row["examples"], row["time"] = (
        BEHAVIOUR_ROW_VERSION,
        3,
        7,
        1_700_000_000_000,
    )
    row["mass"], row["counts"] = rng.random(), rng.random(row["counts"].shape)
    for name, top in (("key", 2**60), ("weight", 1), ("next", 1)):
        row["pairs"][name] = 1 + rng.random(row["pairs"].shape) * top
    return row
