import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.retrieval.codes import LIMIT, coded, decoded


@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(1, 50))
def test_each_number_is_wrong_by_half_a_step_at_most(seed: int, count: int, width: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    codes, scales = coded(vectors)
    assert (np.abs(codes.astype(int)) <= LIMIT).all()
    assert (np.abs(decoded(codes, scales) - vectors) <= 0.51 * scales[:, None]).all()


def test_cosines_of_unit_vectors_are_right_within_a_few_millionths() -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 384))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    read = decoded(*coded(vectors))
    assert np.abs(read @ read.T - vectors @ vectors.T).max() < 2e-5


def test_a_vector_of_zeros_stays_one() -> None:
    codes, scales = coded(np.zeros((2, 3), np.float16))
    assert not codes.any()
    assert not scales.any()
