import numpy as np

from afresh.models.encoder.base import unit


def test_vectors_get_unit_length_and_zeros_stay_zeros() -> None:
    vectors = unit(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32))
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0.0, 0.0]])
