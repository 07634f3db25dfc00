import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.state.rows import content
from afresh.state.rows.brought import unread, vectors_of
from afresh.state.rows.content import VECTORS_BYTES, ContentRow

numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60)
given_vectors = st.dictionaries(st.text(max_size=3), st.lists(numbers, max_size=9), max_size=5)


@given(given_vectors)
def test_every_vector_with_a_direction_is_kept_at_unit_length(given_one: dict[str, list[float]]) -> None:
    kept = {each.kind: np.frombuffer(each.vector, "<f2") for each in vectors_of(given_one)}
    assert list(kept) == sorted(
        kind for kind, some in given_one.items() if any(some) and kind != content.TEXT
    )
    for kind, vector in kept.items():
        assert len(vector) == len(given_one[kind])
        assert math.isclose(np.linalg.norm(vector.astype(np.float64)), 1, rel_tol=2e-3)
        assert (vector * np.sign(given_one[kind]) >= 0).all()


@pytest.mark.parametrize("some", [[], [0.0, -0.0], [math.nan, 1.0], [1.0, math.inf], [-math.inf]])
def test_a_vector_without_a_direction_is_absent(some: list[float]) -> None:
    assert vectors_of({"image": some, "sound": [1.0]}) == vectors_of({"sound": [1.0]})
    assert unread({"image": some}, {"image": len(some)}) == ["image"]


def test_the_kind_of_encoders_is_not_taken_from_an_item() -> None:
    assert vectors_of({content.TEXT: [1.0]}) == []
    assert unread({content.TEXT: [1.0]}, {}) == [content.TEXT]


@given(given_vectors, st.dictionaries(st.text(max_size=3), st.integers(1, 9), max_size=3))
def test_lists_read_what_is_declared_at_the_length_that_is_declared(
    given_one: dict[str, list[float]], declared: dict[str, int]
) -> None:
    left_out = unread(given_one, declared)
    read = [each.kind for each in vectors_of(given_one) if each.kind not in left_out]
    assert all(len(given_one[kind]) == declared[kind] for kind in read)
    assert sorted([*read, *left_out]) == sorted(given_one)


@given(
    st.dictionaries(st.text(max_size=3), st.lists(st.integers(0, 9), min_size=1, max_size=300), max_size=4)
)
def test_vectors_never_take_more_room_than_the_longest_row_has(given_one: dict[str, list[int]]) -> None:
    packed = content.pack(ContentRow(vectors=vectors_of(given_one)))
    nothing = content.pack(ContentRow())
    written = msgspec.json.encode(given_one)
    assert len(packed) - len(nothing) <= content.longest(len(written)) - VECTORS_BYTES
