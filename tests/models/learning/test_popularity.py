import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.learning.popularity import count_event, decayed

HALF_LIVES = np.array([1_000.0, 60_000.0])


def count(times: list[int]) -> tuple[np.ndarray, np.ndarray]:
    counts: np.ndarray = np.zeros((1, 2))
    as_of = np.zeros(1, np.int64)
    for time in times:
        counts, as_of = count_event(counts, as_of, np.array([time]), np.ones((1, 2)), HALF_LIVES)
    return counts, as_of


event_times = st.lists(st.integers(0, 100_000), min_size=1, max_size=20)


@given(event_times)
def test_a_count_is_the_sum_of_the_faded_events(times: list[int]) -> None:
    counts, as_of = count(times)
    expected = [sum(2 ** (-(max(times) - time) / half_life) for time in times) for half_life in HALF_LIVES]
    assert as_of.tolist() == [max(times)]
    np.testing.assert_allclose(counts[0], expected, rtol=1e-9)


@given(event_times, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(times: list[int], random: object) -> None:
    shuffled = list(times)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    np.testing.assert_allclose(count(shuffled)[0], count(times)[0], rtol=1e-9)


def test_a_late_event_adds_its_faded_amount() -> None:
    counts, as_of = count([10_000, 9_000])
    assert counts[0, 0] == 1.5
    assert as_of.tolist() == [10_000]


def test_a_first_event_before_1970_is_kept_as_of_its_own_time() -> None:
    counts, as_of = count([-5_000])
    assert counts.tolist() == [[1.0, 1.0]]
    assert as_of.tolist() == [-5_000]


def test_counts_of_items_far_apart_in_time_stay_finite() -> None:
    century = 3_155_760_000_000
    counts = decayed(np.ones((2, 2)), np.array([0, 2 * century]), century, HALF_LIVES)
    assert np.isfinite(counts).all()
    assert counts[0].max() < 1e-200


def test_an_event_adds_its_amount_to_each_count() -> None:
    counts, _ = count_event(
        np.zeros((1, 2)), np.zeros(1, np.int64), np.array([5]), np.array([[0.0, 2.0]]), HALF_LIVES
    )
    assert counts.tolist() == [[0.0, 2.0]]
