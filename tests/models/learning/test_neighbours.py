import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.learning.neighbours import WEIGHT_LIMIT, Kernel, accumulate, added_mass, usable

small_keys = st.integers(0, 6)
exact_weights = st.integers(0, 64).map(lambda eighths: eighths / 8)  # sums of them are exact in float32
histories = st.lists(st.tuples(small_keys, exact_weights), max_size=5)


def padded(history: list[tuple[int, float]], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a history in which the second weight of each item is twice the first."""
    keys, weights = np.zeros((1, length), np.uint64), np.zeros((2, 1, length), np.float32)
    for place, (key, weight) in enumerate(history):
        keys[0, place], weights[:, 0, place] = key, (weight, 2 * weight)
    return keys, weights


def rows(keys: list[int], weights: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([keys], np.uint64), np.array([[weights]], np.float32)


def learned(
    capacity: int, log: list[list[tuple[int, float]]], length: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    keys, weights = np.zeros((1, capacity), np.uint64), np.zeros((2, 1, capacity), np.float32)
    for history in log:
        accumulate(keys, weights, *padded(history, length))
    return keys, weights


def reference(capacity: int, log: list[list[tuple[int, float]]]) -> dict[int, float]:
    """Keep a row as a dict, one neighbour at a time; the columns tell which neighbour came first."""
    columns: list[int] = [0] * capacity
    row: dict[int, float] = {}
    for history in log:
        totals = dict(row)
        for key, weight in history:
            if key and weight > 0:
                totals[key] = totals.get(key, 0.0) + weight
        arrival = {
            key: place for place, key in reversed(list(enumerate([*columns, *(k for k, _ in history)])))
        }
        kept = sorted(totals, key=lambda key: (-totals[key], arrival[key]))[:capacity]
        entrants = sorted((key for key in kept if key not in row), key=lambda key: arrival[key])
        columns = [key if key in kept else 0 for key in columns]
        for key in entrants:
            columns[columns.index(0)] = key
        row = {key: totals[key] for key in kept}
    return row


def as_dict(keys: np.ndarray, weights: np.ndarray) -> dict[int, float]:
    return {int(key): float(weight) for key, weight in zip(keys[0], weights[0, 0], strict=True) if key}


@given(st.lists(histories, max_size=12), st.integers(1, 8))
def test_a_row_equals_a_dict_that_keeps_its_strongest(
    log: list[list[tuple[int, float]]], capacity: int
) -> None:
    keys, weights = learned(capacity, log)
    assert as_dict(keys, weights) == reference(capacity, log)
    assert (weights[1] == 2 * weights[0]).all(), "the second weight goes where the first does"


def test_a_row_as_long_as_in_production_equals_a_dict_that_keeps_its_strongest() -> None:
    rng = np.random.default_rng(3)
    for different in (40, 80, 300):
        lengths = [int(length) for length in rng.integers(0, 51, 40)]
        log = [
            [(int(key), float(rng.integers(0, 64)) / 8) for key in rng.integers(0, different, n)]
            for n in lengths
        ]
        keys, weights = learned(50, log, 50)
        assert as_dict(keys, weights) == reference(50, log)
        assert (weights[1] == 2 * weights[0]).all()


@given(st.lists(histories, min_size=1, max_size=8), st.integers(1, 6))
def test_padding_changes_no_bit(log: list[list[tuple[int, float]]], capacity: int) -> None:
    for narrow, wide in zip(learned(capacity, log, 5), learned(capacity, log, 60), strict=True):
        assert narrow.tobytes() == wide.tobytes()


def random_examples(
    count: int, items: int, length: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    taken = rng.integers(0, items, count)
    keys = rng.integers(0, 40, (count, length)).astype(np.uint64)
    return taken, keys, rng.random((2, count, length), np.float32)


def learn_in_runs(run: int) -> tuple[bytes, bytes, bytes]:
    """Learn a log in runs; a round of a run holds the next example of each of its items."""
    taken, new_keys, new_weights = random_examples(300, 12, 9, seed=4)
    keys, weights = np.zeros((12, 8), np.uint64), np.zeros((2, 12, 8), np.float32)
    mass = np.zeros(12, np.float32)
    for start in range(0, 300, run):
        left = list(range(start, min(start + run, 300)))
        while left:
            _, first = np.unique(taken[left], return_index=True)
            now = [left[place] for place in sorted(first)]
            rows = taken[now]
            row_keys, row_weights = keys[rows], weights[:, rows]
            accumulate(row_keys, row_weights, new_keys[now], new_weights[:, now])
            keys[rows], weights[:, rows] = row_keys, row_weights
            mass[rows] += added_mass(new_keys[now], new_weights[:, now])
            left = [place for place in left if place not in now]
    return keys.tobytes(), weights.tobytes(), mass.tobytes()


@pytest.mark.parametrize("run", [7, 64, 300])
def test_the_lengths_of_the_runs_change_no_bit(run: int) -> None:
    assert learn_in_runs(run) == learn_in_runs(1)


def test_a_neighbour_keeps_its_column() -> None:
    keys, weights = rows([5, 6, 7], [1, 2, 3])
    accumulate(keys, weights, *rows([9, 7, 6], [1.5, 1, 1]))
    assert keys.tolist() == [[9, 6, 7]]
    assert weights[0].tolist() == [[1.5, 3, 4]]


def test_among_equal_weights_the_older_neighbour_stays() -> None:
    keys, weights = rows([5], [1])
    accumulate(keys, weights, *rows([9], [1]))
    assert keys.tolist() == [[5]]


def test_a_row_is_filled_from_the_left_so_that_the_newest_of_equal_weights_leaves() -> None:
    log = [[(1, 0.5)], [(2, 0.5)]]
    assert learned(3, log)[0].tolist() == [[1, 2, 0]]
    assert as_dict(*learned(2, [*log, [(3, 1.0)]])) == {1: 0.5, 3: 1.0}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1.0, 0.0])
def test_a_weight_that_is_not_finite_or_not_positive_is_ignored(bad: float) -> None:
    keys, weights = rows([5, 0], [1, 0])
    example = rows([5, 9], [bad, bad])
    accumulate(keys, weights, *example)
    assert as_dict(keys, weights) == {5: 1.0}
    assert added_mass(*example).tolist() == [0]


def test_a_huge_weight_is_bounded() -> None:
    assert usable(*rows([5], [3e38])) == WEIGHT_LIMIT


def test_keys_that_differ_in_one_bit_are_different_neighbours() -> None:
    high = 2**64 - 1
    keys, weights = learned(4, [[(high, 1.0), (high - 1, 2.0), (1, 3.0)]])
    assert as_dict(keys, weights) == {high: 1.0, high - 1: 2.0, 1: 3.0}


def test_the_kernel_follows_the_formula_of_its_docstring() -> None:
    weights = Kernel(0.9, 100.0, 0.2).weights(np.array([[0, 50, 1e9]], np.float32))
    np.testing.assert_allclose(weights[0], [1.2, 0.9 * (np.exp(-0.5) + 0.2), 0.81 * 0.2], rtol=1e-6)


def test_an_event_from_the_future_counts_as_an_event_of_now() -> None:
    kernel = Kernel(0.9, 100.0, 0.2)
    ages = np.array([[-1e30, 0.0]], np.float32)
    np.testing.assert_array_equal(kernel.weights(ages), kernel.weights(np.zeros((1, 2), np.float32)))


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_kernel_weights_are_finite_and_bounded_for_any_ages(ages: list[float]) -> None:
    weights = Kernel(0.95, 300.0, 0.2).weights(np.array(ages, np.float32))
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    assert (weights <= 1.2 + 1e-6).all()
