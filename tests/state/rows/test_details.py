from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.state.rows import details
from afresh.state.rows.details import LARGEST_VALUE, OTHER, OWN_ACCOUNT, TYPES, UNKNOWN
from afresh.streams.messages import EventType

index = st.integers(0, 255)


def test_codes_of_types_are_pinned_because_rows_hold_them() -> None:
    assert TYPES == {
        "view": 1,
        "click": 2,
        "add_to_cart": 3,
        "purchase": 4,
        "rating": 5,
        "like": 6,
        "dislike": 7,
        "impression": 8,
    }


def test_every_type_of_event_has_a_code() -> None:
    assert TYPES.keys() == set(get_args(EventType))


@given(st.sampled_from([*TYPES]), index, index, index, st.floats(-100, 100, width=16))
def test_what_is_packed_is_found_again(
    kind: str, platform: int, domain: int, account: int, value: float
) -> None:
    packed = details.pack(kind, platform, domain, account, value)
    assert len(packed) == details.BYTES == 6
    assert details.unpack(packed).tolist() == [(TYPES[kind], platform, domain, account, value)]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, np.nan),
        (float("nan"), np.nan),
        (1e300, LARGEST_VALUE),
        (float("inf"), LARGEST_VALUE),
        (65519.9, LARGEST_VALUE),
        (float("-inf"), -LARGEST_VALUE),
        (1e-300, 0.0),
        (3.14159, 3.140625),
    ],
)
def test_values_beyond_16_bits_are_limited(value: float | None, stored: float) -> None:
    (found,) = details.unpack(details.pack("rating", 0, 0, OWN_ACCOUNT, value))["value"]
    np.testing.assert_equal(float(found), stored)


def test_what_is_not_known_has_neither_type_nor_names_nor_value() -> None:
    (found,) = details.unpack(UNKNOWN)
    assert found.tolist()[:4] == (0, OTHER, OTHER, OWN_ACCOUNT)
    assert np.isnan(found["value"])


def test_a_type_without_a_code_is_stored_as_unknown() -> None:
    assert details.unpack(details.pack("teleport", 0, 0, OWN_ACCOUNT, None))["type"].tolist() == [0]
