from collections.abc import Hashable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import optim

from afresh.models.fusion import fusion
from afresh.models.fusion.fusion import BATCH, CONTEXT, Fusion, context, features, parts

SITUATION = np.array([1.0, 0.5, -0.2, 0.0, 0.1])


def learner(width: int = 4) -> Fusion:
    return Fusion(np.zeros((len(CONTEXT), width)))


def log_of_examples(count: int, width: int = 4, seed: int = 0) -> list[tuple[np.ndarray, int | None]]:
    rng = np.random.default_rng(seed)
    examples: list[tuple[np.ndarray, int | None]] = []
    for _ in range(count):
        values = rng.normal(size=(30, width)).astype(np.float32)
        taken = int(values[:, 1].argmax()) if rng.random() < 0.8 else None
        examples.append((values, taken))
    return examples


def taught(fused: Fusion, examples: list[tuple[np.ndarray, int | None]]) -> Fusion:
    for values, taken in examples:
        fused.learn(values, SITUATION, taken)
    return fused


def test_candidates_beyond_the_ranked_use_their_scale_and_do_not_change_it() -> None:
    raw = np.array([[1.0, 4.0, 3.0, 9.0], [0.0, 0.0, 5.0, 2.0]], np.float32)
    values = features(raw, 2)
    assert values[:2].tolist() == features(raw[:, :2]).tolist()
    assert values[3, :2].tolist() == values[1, :2].tolist(), (
        "other candidates count at most as the best ranked one"
    )
    assert values[:, 2:].tolist() == [[0.0, 0.0]] * 4, (
        "a scorer without scores for the ranked has none for others"
    )


def test_features_are_the_logarithm_and_the_root_of_each_score() -> None:
    raw = np.array([[1.0, 4.0, 0.0, 3.0], [0.0, 0.0, 0.0, 8.0]], np.float32)
    values = features(raw)
    assert values.shape == (4, 4)
    np.testing.assert_allclose(values[:, 0], np.log(raw[0] / 2 + 1e-3), rtol=1e-5)
    np.testing.assert_allclose(values[:, 1], np.sqrt(raw[0] / 4), rtol=1e-6)
    np.testing.assert_allclose(values[:, 3], [0, 0, 0, 1], rtol=1e-6)


def test_a_scorer_that_scores_nothing_has_features_of_0() -> None:
    assert not features(np.zeros((2, 5), np.float32)).any()


def test_without_candidates_there_are_no_features() -> None:
    assert features(np.zeros((3, 0), np.float32)).shape == (0, 6)


@given(st.lists(st.floats(width=32), min_size=1, max_size=8))
def test_features_are_finite_for_any_scores(scores: list[float]) -> None:
    assert np.isfinite(features(np.array([scores], np.float32))).all()


@given(st.floats(), st.integers(-(2**40), 2**40))
def test_a_context_is_finite_and_small_for_any_user(gap: float, length: int) -> None:
    values = context(np.array([length]), np.array([gap]))
    assert values.shape == (1, len(CONTEXT))
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 10


def test_a_context_tells_a_gap_of_0_from_no_gap() -> None:
    same, none = context(np.array([3, 3]), np.array([0.0, np.nan]))
    assert same[3] == 1
    assert none[3] == 0


def test_a_context_tells_new_users_from_others() -> None:
    newcomer = context(np.array([0, 1, 5, 100]), np.full(4, np.nan))[:, CONTEXT.index("newcomer")]
    assert newcomer[0] == 1
    assert (np.diff(newcomer) < 0).all()
    assert newcomer[2:].max() < 0.2


def test_the_fused_score_is_the_sum_of_the_parts() -> None:
    rng = np.random.default_rng(2)
    weights, values = rng.normal(size=6), rng.normal(size=(5, 6)).astype(np.float32)
    assert parts(weights, values).shape == (5, 3)
    np.testing.assert_allclose(parts(weights, values).sum(axis=1), values @ weights, rtol=1e-4, atol=1e-5)


def test_the_feature_that_decides_gains_most_weight() -> None:
    weights = taught(learner(), log_of_examples(2000)).weights(SITUATION[None])[0]
    assert weights[1] > 1
    assert weights[1] > 5 * np.abs(np.delete(weights, 1)).max()


def test_a_step_equals_a_step_of_rivers_adagrad_on_the_mean_gradient() -> None:
    examples = log_of_examples(BATCH, seed=1)
    examples = [(values, 3) for values, _ in examples]
    gradient = np.zeros((len(CONTEXT), 4))
    for values, taken in examples:
        gradient += np.outer(SITUATION, values.mean(axis=0, dtype=np.float64) - values[taken]) / BATCH
    learned = taught(learner(), examples).omega
    for kind, rate in enumerate(fusion.LEARNING_RATES):
        steps: dict[Hashable, float] = {(i, j): 0.0 for i in range(len(CONTEXT)) for j in range(2)}
        optim.AdaGrad(rate).step(steps, dict(np.ndenumerate(gradient[:, kind::2])))
        expected = np.array([[steps[i, j] for j in range(2)] for i in range(len(CONTEXT))])
        np.testing.assert_allclose(learned[:, kind::2], expected, rtol=1e-6, atol=1e-9)


def test_weights_step_after_a_fixed_number_of_examples_learned_from() -> None:
    fused = learner()
    values = log_of_examples(1)[0][0]
    for _ in range(BATCH - 1):
        fused.learn(values, SITUATION, 0)
        fused.learn(values, SITUATION, None)
    assert not fused.omega.any()
    fused.learn(values, SITUATION, 0)
    assert fused.omega.any()
    assert fused.examples == 2 * BATCH - 1


@pytest.mark.parametrize("cut", [1, BATCH - 1, BATCH, 57])
def test_a_restart_anywhere_changes_no_bit(cut: int) -> None:
    examples = log_of_examples(100)
    restarted = Fusion.from_bytes(taught(learner(), examples[:cut]).to_bytes())
    whole = taught(learner(), examples)
    assert taught(restarted, examples[cut:]).to_bytes() == whole.to_bytes()
    assert whole.examples == 100


@pytest.mark.parametrize("data", [b"", b"short", bytes(40) + b"x", learner().to_bytes()[:-1]])
def test_bytes_of_no_fusion_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Fusion.from_bytes(data)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_example_with_values_not_finite_is_refused_and_counted(bad: float) -> None:
    fused = learner()
    for _ in range(BATCH):
        values = np.ones((5, 4), np.float32)
        values[2, 1] = bad
        fused.learn(values, SITUATION, 0)
    assert fused.refused == fused.examples == BATCH
    assert not fused.omega.any()


def test_weights_stay_bounded_for_any_examples() -> None:
    fused = learner()
    values = np.zeros((2, 4), np.float32)
    values[0] = 1e30
    for _ in range(300 * BATCH):
        fused.learn(values, SITUATION, 1)
        fused.learn(-values, SITUATION, 0)
    assert np.abs(fused.omega).max() <= fusion.WEIGHT_LIMIT


def test_the_prior_is_copied() -> None:
    prior = np.zeros((len(CONTEXT), 4))
    taught(Fusion(prior), log_of_examples(200))
    assert not prior.any()


def test_the_weight_of_a_scorer_is_the_sum_over_its_two_features() -> None:
    prior = np.zeros((len(CONTEXT), 4))
    prior[0] = [1.0, 0.5, 0.25, 0.0]
    assert Fusion(prior).by_scorer().tolist() == [1.5, 0.25]
