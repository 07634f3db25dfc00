import numpy as np
import pytest

from models import factors

RNG = np.random.default_rng


def examples(count: int, items: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = RNG(seed)
    vectors = rng.normal(size=(count, 2, factors.DIMENSIONS)).astype(np.float32)
    return vectors, rng.integers(0, items, count)


def empty(items: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((items, factors.WIDTH), np.float32), np.zeros(items, np.float32)


def test_codes_of_different_items_are_nearly_orthogonal_even_for_small_keys() -> None:
    codes = factors.item_codes(np.arange(1, 201, dtype=np.uint64))
    cosines = codes @ codes.T - np.eye(200)
    assert np.abs(cosines).max() < 0.7
    assert np.abs(cosines.mean()) < 0.01
    assert cosines.std() == pytest.approx(1 / np.sqrt(factors.DIMENSIONS), rel=0.1)


def test_codes_depend_on_key_and_seed_alone() -> None:
    keys = RNG(1).integers(1, 2**63, 50).astype(np.uint64)
    np.testing.assert_array_equal(factors.item_codes(keys)[7:9], factors.item_codes(keys[7:9]))
    assert (factors.item_codes(keys) != factors.item_codes(keys, seed=1)).any()


def test_codes_stay_as_they_are_from_one_version_to_the_next() -> None:
    """Rows that are stored were learned with them."""
    bits = factors.item_codes(np.array([1], np.uint64))[0] > 0
    assert np.packbits(bits).tobytes().hex() == "0eb592c8a8fdb408"


def test_folding_forgets_the_short_vector_faster() -> None:
    code = factors.item_codes(np.array([3], np.uint64))[0]
    vectors = factors.fold(
        factors.fold(np.zeros((2, factors.DIMENSIONS), np.float32), code), np.zeros_like(code)
    )
    np.testing.assert_allclose(vectors, [factors.DECAYS[0] * code, factors.DECAYS[1] * code])
    assert vectors.dtype == np.float32


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_count_as_nothing(bad: float) -> None:
    vectors = np.zeros((1, 2, factors.DIMENSIONS), np.float32)
    vectors[0, 0, 3] = bad
    assert factors.features(vectors)[0].tolist() == [0.0] * (factors.WIDTH - 1) + [1.0]


def test_huge_vectors_count_as_nothing() -> None:
    vectors = np.full((1, 2, factors.DIMENSIONS), 3e38, np.float32)
    assert not factors.features(vectors)[0, :-1].any()


def test_what_was_taken_is_scored_higher_after_a_step_and_the_negatives_lower() -> None:
    vectors, _ = examples(1, 1)
    table, accumulators = empty(5)
    assert factors.step(table, accumulators, vectors, np.array([2]), np.array([0, 4])) == 0
    scores = factors.scores(vectors, table)[0]
    assert scores[2] > 0 == scores[1] == scores[3]
    assert scores[0] < 0
    assert scores[4] < 0


def test_a_negative_that_was_taken_itself_does_not_count() -> None:
    vectors, _ = examples(1, 1)
    table, accumulators = empty(3)
    factors.step(table, accumulators, vectors, np.array([1]), np.array([1, 1]))
    assert not table.any()


def test_the_gradient_is_that_of_the_softmax_cross_entropy() -> None:
    vectors, _ = examples(3, 4)
    taken, against = np.array([0, 1, 0]), np.array([2, 3, 1])
    table = RNG(3).normal(size=(4, factors.WIDTH)).astype(np.float32)
    inputs = factors.features(vectors).astype(np.float64)

    def loss(weights: np.ndarray) -> float:
        total = 0.0
        for x, item in zip(inputs, taken, strict=True):
            rivals = [other for other in [*taken, *against] if other != item]
            logits = np.array([weights[item] @ x, *(weights[other] @ x for other in rivals)])
            total += np.log(np.exp(logits).sum()) - logits[0]
        return total

    row, column, small = 1, 5, 1e-5
    moved = table.astype(np.float64)
    moved[row, column] += small
    slope = (loss(moved) - loss(table.astype(np.float64))) / small
    after, accumulators = table.copy(), np.zeros(4, np.float32)
    factors.step(after, accumulators, vectors, taken, against)
    pace = factors.LEARNING_RATE / np.sqrt(accumulators[row])
    assert (table - after)[row, column] / pace == pytest.approx(slope, rel=1e-3)


def test_a_learner_tells_apart_who_takes_what() -> None:
    table, accumulators = empty(20)
    tastes = factors.item_codes(np.arange(1, 21, dtype=np.uint64))
    rng = RNG(5)
    for batch in range(30):
        taken = rng.integers(0, 20, factors.BATCH)
        vectors = np.repeat(tastes[taken][:, None], 2, axis=1)
        factors.step(table, accumulators, vectors, taken, factors.negatives(20, 0, 0, batch))
    best = factors.scores(np.repeat(tastes[:, None], 2, axis=1), table).argmax(axis=1)
    assert (best == np.arange(20)).mean() > 0.9


def test_a_row_whose_gradient_is_not_finite_is_refused_and_counted() -> None:
    vectors, _ = examples(2, 1)
    table, accumulators = empty(6)
    table[4] = np.nan
    before = table.copy()
    refused = factors.step(table, accumulators, vectors, np.array([0, 1]), np.array([2, 4]))
    assert refused == 4
    np.testing.assert_array_equal(table, before)


def test_factors_stay_bounded_whatever_the_examples() -> None:
    table, accumulators = empty(3)
    vectors = np.full((1, 2, factors.DIMENSIONS), 1e3, np.float32)
    for _ in range(500):
        factors.step(table, accumulators, vectors, np.array([0]), np.array([1, 2]))
    assert np.abs(table).max() <= factors.FACTOR_LIMIT


def test_negatives_depend_on_the_place_in_the_log_alone() -> None:
    first = factors.negatives(100, seed=1, partition=2, examples=64)
    np.testing.assert_array_equal(first, factors.negatives(100, seed=1, partition=2, examples=64))
    assert (first != factors.negatives(100, seed=1, partition=2, examples=96)).any()
    assert (first != factors.negatives(100, seed=1, partition=3, examples=64)).any()
    assert first.min() >= 0
    assert first.max() < 100


def test_the_same_steps_make_the_same_rows_to_the_last_bit() -> None:
    tables = []
    for _ in range(2):
        table, accumulators = empty(50)
        for batch in range(5):
            vectors, taken = examples(factors.BATCH, 50, seed=batch)
            factors.step(table, accumulators, vectors, taken, factors.negatives(50, 0, 0, batch))
        tables.append(table.tobytes())
    assert tables[0] == tables[1]
