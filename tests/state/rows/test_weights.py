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
    assert (published.weights.version, published.received) == (version, received)
    assert np.array_equal(published.weights.omega, omega)


def test_a_scorer_that_a_row_does_not_weigh_has_the_weights_of_its_prior() -> None:
    names = ["another", *scorers.NAMES[1:]]
    omega = np.random.default_rng(1).normal(size=scorers.prior().shape)
    row = WeightsRow(1, names, omega.astype("<f8").tobytes(), 3, 0)
    found = rows.unpack(msgspec.msgpack.encode(row)).weights
    assert np.array_equal(found.omega[:, 2:], omega[:, 2:])
    assert np.array_equal(found.omega[:, :2], scorers.prior()[:, :2])
    assert found.version == 3


@pytest.mark.parametrize(
    "row",
    [
        WeightsRow(rows.WEIGHTS_VERSION + 1, [], b"", 0, 0),
        WeightsRow(1, list(scorers.NAMES), b"short", 0, 0),
        WeightsRow(1, ["another"], b"short", 0, 0),
    ],
)
def test_a_row_of_an_unknown_layout_is_refused(row: WeightsRow) -> None:
    with pytest.raises(RowVersionError):
        rows.unpack(msgspec.msgpack.encode(row))
