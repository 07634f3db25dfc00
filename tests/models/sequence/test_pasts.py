from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.arrays import NONE
from afresh.models.sequence.pasts import GAPS, bucket, padded, past_of

pasts = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 2**50)), min_size=1, max_size=8)


def test_nobody_writes_into_a_past() -> None:
    past = past_of([(1, 10), (2, 20)])
    for array in past:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 3


@given(st.lists(st.integers(-(2**60), 2**60)))
def test_a_longer_gap_is_in_no_lower_bucket(gaps: list[int]) -> None:
    buckets = bucket(np.array(sorted(gaps), np.int64))
    assert (np.diff(buckets.astype(int)) >= 0).all()
    assert (buckets < GAPS).all()


@given(st.lists(pasts, min_size=1, max_size=5))
def test_a_past_is_laid_out_the_same_whatever_is_beside_it(many: list[list[tuple[int, int]]]) -> None:
    together = padded([past_of(each) for each in many], 8)
    for row, each in enumerate(many):
        alone = padded([past_of(each)], len(each))
        size = len(each)
        assert together.items[row, :size].tolist() == alone.items[0].tolist()
        assert (together.items[row, size:] == NONE).all()
        assert (together.gaps[row, :size, :size] == alone.gaps[0]).all()
