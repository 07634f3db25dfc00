from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import optim

from afresh.models.fusion import fusion
from afresh.models.fusion.features import CONTEXT
from afresh.models.fusion.fusion import BATCH, Fusion, Lesson, distinct
from afresh.models.fusion.weights import gradient

SITUATION = np.array([1.0, 0.5, -0.2, 0.0, 0.1], np.float32)


def learner(width: int = 4) -> Fusion:
    return Fusion(np.zeros((len(CONTEXT), width)))


def lesson(
    fused: Fusion, values: np.ndarray, taken: int, item: int = 1, source: int = 0, trust: float = 1.0
) -> Lesson:
    """Make the lesson of an example that was judged with the weights of now."""
    (weights,) = fused.weights().in_contexts(SITUATION[None])
    return Lesson(source, item, trust, SITUATION, gradient(weights, values, taken))


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
        if taken is None:
            fused.skip()
        else:
            fused.learn(lesson(fused, values, taken, fused.examples))
    return fused


def test_the_feature_that_decides_gains_most_weight() -> None:
    weights = taught(learner(), log_of_examples(2000)).weights().in_contexts(SITUATION[None])[0]
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
    monkeypatch.setattr(fusion, "SOURCE_LIMIT", 1e9)
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
        fused.learn(lesson(fused, values, 3, number)._replace(situation=faint))
    moved = np.abs(fused.omega - before)[2]
    assert (moved > 0).all()
    assert (moved < 0.05 * np.tile(fusion.LEARNING_RATES, 2)).all()


def step_on(examples: list[tuple[np.ndarray, int]], items: list[int]) -> tuple[Fusion, float]:
    """Make the first step; return the learner, and what the step gains on its own examples."""
    fused = learner()
    for (values, taken), item in zip(examples, items, strict=True):
        fused.learn(lesson(fused, values, taken, item))
    return fused, -float((fused.omega * mean_gradient(examples)).sum())


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("items", [1, 2, 5])
def test_a_step_gains_as_much_as_distinct_items_allow(
    scale: float, items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion, "SOURCE_LIMIT", 1e9)
    _, gain = step_on(alike(scale), [number % items for number in range(BATCH)])
    assert 0 < gain <= items * fusion.GAIN_LIMIT * (1 + 1e-6)
    _, of_many = step_on(alike(scale), [*range(BATCH)])
    assert of_many >= gain


def test_examples_that_go_on_agreeing_move_the_weights_as_far_as_they_must() -> None:
    values, taken = alike()[0]
    fused = learner()
    for _ in range(100 * BATCH):
        fused.learn(lesson(fused, values, taken))
    scores = values @ fused.weights().in_contexts(SITUATION)
    assert scores[taken] - np.median(scores) > 3


def test_an_item_that_others_outnumber_counts_for_less_than_one_of_many() -> None:
    assert distinct([1] * 18 + [2, 3]) < 1.5
    assert distinct([*range(BATCH)]) == BATCH


def test_weights_step_after_a_fixed_number_of_examples_learned_from() -> None:
    fused = learner()
    values = log_of_examples(1)[0][0]
    for _ in range(BATCH - 1):
        fused.learn(lesson(fused, values, 0))
        fused.skip()
    assert not fused.omega.any()
    fused.learn(lesson(fused, values, 0))
    assert fused.omega.any()
    assert fused.examples == 2 * BATCH - 1


@pytest.mark.parametrize("cut", [1, BATCH - 1, BATCH, 57])
def test_a_restart_anywhere_changes_no_bit(cut: int) -> None:
    examples = log_of_examples(100)
    restarted = Fusion.from_bytes(taught(learner(), examples[:cut]).to_bytes())
    whole = taught(learner(), examples)
    assert taught(restarted, examples[cut:]).to_bytes() == whole.to_bytes()
    assert whole.examples == 100


def of_0_1_0(fused: Fusion, waiting: int = 0) -> bytes:
    """Pack a learner as 0.1.0 did, which added up the gradients of the examples that wait."""
    counters = np.array([*fused.omega.shape, fused.examples, fused.refused, waiting], "<i8")
    return counters.tobytes() + np.stack([fused.omega, fused._squares, np.ones_like(fused.omega)]).tobytes()


@pytest.mark.parametrize("waiting", [0, 1, BATCH - 1])
def test_what_a_partition_learned_in_earlier_versions_is_read(waiting: int) -> None:
    fused = experienced()
    restored = Fusion.of_partition(of_0_1_0(fused, waiting))
    assert np.array_equal(restored.omega, fused.omega)
    assert np.array_equal(restored._squares, fused._squares)
    assert (restored.examples, restored.version) == (fused.examples, 0)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=6))
def test_merged_weights_are_the_mean_weighted_by_examples(counts: list[int]) -> None:
    merged = learner()
    for number, examples in enumerate(counts):
        other = learner()
        other.omega += number
        other.examples = examples
        merged.merge(other)
    mean = np.average(range(len(counts)), weights=counts)
    np.testing.assert_allclose(merged.omega, mean, rtol=1e-9, atol=1e-12)
    assert (merged.examples, merged.version) == (sum(counts), len(counts))


@pytest.mark.parametrize("data", [b"", b"short", bytes(40) + b"x", learner().to_bytes()[:-1]])
def test_bytes_of_no_fusion_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Fusion.from_bytes(data)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e6])
@pytest.mark.parametrize("field", ["gradient", "situation", "trust"])
def test_a_lesson_that_cannot_be_one_is_refused_and_counted(bad: float, field: str) -> None:
    fused = learner()
    good = lesson(fused, log_of_examples(1)[0][0], 0)
    values: dict[str, Any] = {"gradient": good.gradient.copy(), "situation": SITUATION.copy(), "trust": bad}
    for array in (values["gradient"], values["situation"]):
        array[1] = bad
    for _ in range(BATCH):
        assert not fused.learn(good._replace(**{field: values[field]}))
    assert fused.refused == fused.examples == BATCH
    assert not fused.omega.any()


def test_weights_stay_bounded_for_any_examples() -> None:
    fused = learner()
    pushing = lesson(fused, np.array([[20.0] * 4, [0.0] * 4], np.float32), 1)
    for number in range(300 * BATCH):
        fused.learn(pushing._replace(item=number))
    assert np.abs(fused.omega).max() <= fusion.WEIGHT_LIMIT


def independent(count: int, source: int = 0) -> list[Lesson]:
    rng = np.random.default_rng(source)
    return [
        Lesson(source, number, 1.0, SITUATION, rng.normal(size=4).astype(np.float32))
        for number in range(count)
    ]


def pushed(lessons: Sequence[Lesson]) -> np.ndarray:
    """Return the gradient of a step on lessons."""
    fused = learner()
    fused._pending = list(lessons)
    return fused._gradient()


def test_one_source_moves_a_step_no_further_than_independent_examples_would() -> None:
    honest = independent(BATCH - 5)
    lie = Lesson(7, 1, 1.0, SITUATION, np.full(4, fusion.GRADIENT_LIMIT, np.float32))
    moved = pushed([*honest, *[lie] * 5]) - pushed(honest)
    assert np.linalg.norm(moved) == pytest.approx(fusion.SOURCE_LIMIT * 5**0.5)


def test_sources_within_their_limit_count_in_full_however_examples_are_shared_out() -> None:
    together = independent(BATCH)
    shared = [each._replace(source=number % 3) for number, each in enumerate(together)]
    np.testing.assert_allclose(pushed(together), pushed(shared), rtol=1e-9)


def test_a_lesson_counts_by_its_trust() -> None:
    (one,) = independent(1)
    np.testing.assert_allclose(pushed([one._replace(trust=0.5)]), pushed([one]) / 2)
    assert not pushed([one._replace(trust=0.0)]).any()


def test_every_change_of_the_weights_is_a_version() -> None:
    fused = learner()
    for each in independent(3 * BATCH):
        before, omega = fused.version, fused.omega.copy()
        fused.learn(each)
        assert (fused.version > before) == (fused.omega != omega).any()
    fused.restart(np.zeros_like(fused.omega))
    assert fused.version == 4


def test_the_prior_is_copied() -> None:
    prior = np.zeros((len(CONTEXT), 4))
    taught(Fusion(prior), log_of_examples(200))
    assert not prior.any()
