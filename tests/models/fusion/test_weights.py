import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.fusion.features import CONTEXT
from afresh.models.fusion.weights import DIGITS, Weights, gradient, largest_parts, parts


def test_the_fused_score_is_the_sum_of_the_parts() -> None:
    rng = np.random.default_rng(2)
    weights, values = rng.normal(size=6), rng.normal(size=(5, 6)).astype(np.float32)
    assert parts(weights, values).shape == (5, 3)
    np.testing.assert_allclose(parts(weights, values).sum(axis=1), values @ weights, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(0, 4))
def test_the_largest_parts_are_named_whether_they_add_or_take_away(
    seed: int, scorers: int, listed: int
) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=2 * scorers).astype(np.float32)
    values = rng.normal(size=(5, 2 * scorers)).astype(np.float32)
    places = rng.permutation(5)[:listed].astype(np.int32)
    count = min(3, scorers)
    numbers, named, sums = largest_parts(weights, values, places, count)
    added = parts(weights.astype(np.float64), values[places])
    order = np.argsort(-np.abs(added), axis=1, kind="stable")[:, :count]
    assert numbers.tolist() == order.tolist()
    np.testing.assert_allclose(named[:, :count], np.take_along_axis(added, order, axis=1), atol=1e-4)
    np.testing.assert_allclose(named.sum(axis=1), sums, atol=1e-9)
    np.testing.assert_allclose(sums, added.sum(axis=1), atol=1e-4)
    assert (np.round(named, DIGITS) == named).all()


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
