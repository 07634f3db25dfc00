import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models import scorers
from afresh.models.fusion.weights import Weights
from afresh.state.rows import weights as rows
from afresh.state.rows.weights import WeightsRow
from afresh.state.versions import RowVersionError


@given(st.integers(0, 2**60), st.integers(0, 2**60), st.integers(0, 2**32 - 1))
def test_weights_come_back_to_the_last_bit(version: int, received: int, seed: int) -> None:
    omega = np.random.default_rng(seed).normal(size=scorers.prior().shape)
    published = rows.unpack(rows.pack(Weights(omega, version), received))
    assert published is not None
    assert (published.weights.version, published.received) == (version, received)
    assert np.array_equal(published.weights.omega, omega)


def test_weights_of_other_scorers_are_none_of_ours() -> None:
    assert rows.unpack(msgspec.msgpack.encode(WeightsRow(1, ["another"], b"", 3, 0))) is None


@pytest.mark.parametrize(
    "row",
    [
        WeightsRow(rows.WEIGHTS_VERSION + 1, [], b"", 0, 0),
        WeightsRow(1, list(scorers.NAMES), b"short", 0, 0),
    ],
)
def test_a_row_of_an_unknown_layout_is_refused(row: WeightsRow) -> None:
    with pytest.raises(RowVersionError):
        rows.unpack(msgspec.msgpack.encode(row))
