import numpy as np
import pytest

from afresh.models.fusion.features import CONTEXT
from afresh.models.fusion.weights import Weights, gradient, parts


def test_the_fused_score_is_the_sum_of_the_parts() -> None:
    rng = np.random.default_rng(2)
    weights, values = rng.normal(size=6), rng.normal(size=(5, 6)).astype(np.float32)
    assert parts(weights, values).shape == (5, 3)
    np.testing.assert_allclose(parts(weights, values).sum(axis=1), values @ weights, rtol=1e-4, atol=1e-5)


def test_the_weight_of_a_scorer_is_the_sum_over_its_two_features() -> None:
    prior = np.zeros((len(CONTEXT), 4))
    prior[0] = [1.0, 0.5, 0.25, 0.0]
    assert Weights(prior).by_scorer().tolist() == [1.5, 0.25]


def loss(weights: np.ndarray, values: np.ndarray, taken: int) -> float:
    logits = values.astype(np.float64) @ weights
    return float(np.log(np.exp(logits).sum()) - logits[taken])


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_is_the_slope_of_the_loss(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, values = rng.normal(size=6), rng.normal(size=(12, 6)).astype(np.float32)
    steps = 1e-5 * np.eye(6)
    slopes = [(loss(weights + step, values, 3) - loss(weights - step, values, 3)) / 2e-5 for step in steps]
    np.testing.assert_allclose(gradient(weights, values, 3), slopes, atol=1e-4)


def test_the_gradient_is_finite_for_any_weights() -> None:
    values = np.array([[30.0], [-30.0]], np.float32)
    assert gradient(np.array([1e4]), values, 1).tolist() == [60.0]
