from collections.abc import Hashable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import optim

from afresh.models.fusion import fusion
from afresh.models.fusion.fusion import BATCH, CONTEXT, Fusion, context, distinct, features, parts

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
        # Distinct items; those of examples that teach nothing do not count.
        fused.learn(values, SITUATION, taken, fused.examples)
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


def experienced() -> Fusion:
    """Make a learner that has made a hundred steps, and is at the beginning of another."""
    return taught(
        learner(), [(values, int(values[:, 1].argmax())) for values, _ in log_of_examples(100 * BATCH)]
    )


def mean_gradient(examples: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """Return the mean gradient at weights of 0."""
    gradients = [
        np.outer(SITUATION, values.mean(axis=0, dtype=np.float64) - values[taken])
        for values, taken in examples
    ]
    return np.asarray(np.mean(gradients, axis=0))


def alike(scale: float = 1.0, count: int = BATCH) -> list[tuple[np.ndarray, int]]:
    """Make examples that are all alike, of features that all say the same."""
    values = scale * np.arange(30, dtype=np.float32)[:, None].repeat(4, axis=1) / 30
    return [(values, 29)] * count


def test_a_step_equals_a_step_of_rivers_adagrad_that_has_seen_some_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fusion, "GAIN_LIMIT", 1e9)
    examples = [(values, 3) for values, _ in log_of_examples(BATCH, seed=1)]
    gradient = mean_gradient(examples)
    learned = taught(learner(), [*examples]).omega
    for kind, rate in enumerate(fusion.LEARNING_RATES):
        steps: dict[Hashable, float] = {(i, j): 0.0 for i in range(len(CONTEXT)) for j in range(2)}
        adagrad = optim.AdaGrad(rate, eps=fusion.SQUARES_AT_FIRST[kind])
        adagrad.step(steps, dict(np.ndenumerate(gradient[:, kind::2])))
        expected = np.array([[steps[i, j] for j in range(2)] for i in range(len(CONTEXT))])
        np.testing.assert_allclose(learned[:, kind::2], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("late", [False, True])
def test_the_first_step_of_a_weight_is_as_small_as_its_gradient(late: bool) -> None:
    fused = experienced() if late else learner()
    # A context, or a scorer such as those of texts, may have been silent until now.
    fused._squares[2] = 0
    before = fused.omega.copy()
    for number in range(BATCH):
        values, _ = log_of_examples(1, seed=number)[0]
        faint = SITUATION.copy()
        faint[2] = 1e-3
        fused.learn(values, faint, 3, number)
    moved = np.abs(fused.omega - before)[2]
    assert (moved > 0).all()
    assert (moved < 0.05 * np.tile(fusion.LEARNING_RATES, 2)).all()


def step_on(examples: list[tuple[np.ndarray, int]], items: list[int]) -> tuple[Fusion, float]:
    """Make the first step; return the learner, and what the step gains on its own examples."""
    fused = learner()
    for (values, taken), item in zip(examples, items, strict=True):
        fused.learn(values, SITUATION, taken, item)
    return fused, -float((fused.omega * mean_gradient(examples)).sum())


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("items", [1, 2, 5])
def test_a_step_gains_as_much_as_distinct_items_allow(scale: float, items: int) -> None:
    _, gain = step_on(alike(scale), [number % items for number in range(BATCH)])
    assert 0 < gain <= items * fusion.GAIN_LIMIT * (1 + 1e-9)
    _, of_many = step_on(alike(scale), [*range(BATCH)])
    assert of_many >= gain


def test_examples_that_go_on_agreeing_move_the_weights_as_far_as_they_must() -> None:
    values, taken = alike()[0]
    fused = learner()
    for _ in range(100 * BATCH):
        fused.learn(values, SITUATION, taken, 1)
    scores = values @ fused.weights(SITUATION)
    assert scores[taken] - np.median(scores) > 3


def test_an_item_that_others_outnumber_counts_for_less_than_one_of_many() -> None:
    assert distinct([1] * 18 + [2, 3]) < 1.5
    assert distinct([*range(BATCH)]) == BATCH


def test_weights_learned_before_steps_were_limited_go_on_without_a_jump() -> None:
    """The sums of 0.1.0 hold the squared gradients alone; what counts as seen is added at each step."""
    fused = experienced()
    examples = [(values, 3) for values, _ in log_of_examples(BATCH, seed=5)]
    restored = Fusion.from_bytes(fused.to_bytes())
    assert np.array_equal(restored.omega, fused.omega)
    gradient = np.zeros_like(fused.omega)
    for values, taken in examples:
        gradient += fused._gradient(values.astype(np.float64), SITUATION, taken) / BATCH
    without = (
        np.tile(fusion.LEARNING_RATES, 2) * np.abs(gradient) / np.sqrt(fused._squares + gradient**2 + 1e-8)
    )
    step = taught(restored, [*examples]).omega - fused.omega
    assert (np.abs(step) <= without).all()


def test_weights_step_after_a_fixed_number_of_examples_learned_from() -> None:
    fused = learner()
    values = log_of_examples(1)[0][0]
    for _ in range(BATCH - 1):
        fused.learn(values, SITUATION, 0, 1)
        fused.learn(values, SITUATION, None, 1)
    assert not fused.omega.any()
    fused.learn(values, SITUATION, 0, 1)
    assert fused.omega.any()
    assert fused.examples == 2 * BATCH - 1


@pytest.mark.parametrize("cut", [1, BATCH - 1, BATCH, 57])
def test_a_restart_anywhere_changes_no_bit(cut: int) -> None:
    examples = log_of_examples(100)
    restarted = Fusion.from_bytes(taught(learner(), examples[:cut]).to_bytes())
    whole = taught(learner(), examples)
    assert taught(restarted, examples[cut:]).to_bytes() == whole.to_bytes()
    assert whole.examples == 100


@pytest.mark.parametrize("cut", [0, 1, BATCH - 1])
def test_bytes_of_0_1_0_without_the_items_of_waiting_examples_are_read(cut: int) -> None:
    fused = taught(learner(), [(values, 3) for values, _ in log_of_examples(BATCH + cut)])
    old = fused.to_bytes()[: -8 * cut or None]
    restored = Fusion.from_bytes(old)
    assert np.array_equal(restored.omega, fused.omega)
    rest = [(values, 3) for values, _ in log_of_examples(BATCH - cut, seed=2)]
    assert np.array_equal(taught(restored, [*rest]).omega, taught(fused, [*rest]).omega)


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
        fused.learn(values, SITUATION, 0, 1)
    assert fused.refused == fused.examples == BATCH
    assert not fused.omega.any()


def test_weights_stay_bounded_for_any_examples() -> None:
    fused = learner()
    values = np.zeros((2, 4), np.float32)
    values[0] = 1e30
    for _ in range(300 * BATCH):
        fused.learn(values, SITUATION, 1, 1)
        fused.learn(-values, SITUATION, 0, 1)
    assert np.abs(fused.omega).max() <= fusion.WEIGHT_LIMIT


def test_the_prior_is_copied() -> None:
    prior = np.zeros((len(CONTEXT), 4))
    taught(Fusion(prior), log_of_examples(200))
    assert not prior.any()


def test_the_weight_of_a_scorer_is_the_sum_over_its_two_features() -> None:
    prior = np.zeros((len(CONTEXT), 4))
    prior[0] = [1.0, 0.5, 0.25, 0.0]
    assert Fusion(prior).by_scorer().tolist() == [1.5, 0.25]
