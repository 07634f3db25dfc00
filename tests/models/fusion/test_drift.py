import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.drift import PageHinkley

from afresh.models.arrays import Doubles
from afresh.models.fusion import drift


def rates(*parts: tuple[float, int], seed: int = 0) -> Doubles:
    draw = np.random.default_rng(seed)
    return np.concatenate([draw.random(count) < rate for rate, count in parts]).astype(float)


def drifts(values: Doubles, block: int = 1) -> list[int]:
    tests = drift.new(1)
    found = []
    for start in range(0, len(values), block):
        part = values[start : start + block]
        if drift.update(tests, np.array([float(len(part))]), np.array([part.sum()]))[0]:
            found.append(start)
    return found


@pytest.mark.slow
@given(st.integers(0, 1000))
def test_with_one_value_at_a_time_the_test_equals_that_of_river(seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = rates((draw.random(), 300), (draw.random(), 300), (draw.random(), 300), seed=seed)
    river = PageHinkley(
        min_instances=drift.LEAST, delta=drift.DELTA, threshold=drift.THRESHOLD, alpha=1.0, mode="both"
    )
    expected = []
    for place, value in enumerate(values.tolist()):
        river.update(value)  # type: ignore[no-untyped-call]
        if river.drift_detected:
            expected.append(place)
    assert drifts(values) == expected


def test_a_constant_rate_does_not_drift() -> None:
    for seed in range(20):
        assert drifts(rates((0.2, 10_000), seed=seed), block=50) == []


def test_a_test_that_has_just_begun_sees_no_drift_in_chance() -> None:
    tests, draw = drift.new(10_000), np.random.default_rng(1)
    for _ in range(10):
        assert not drift.update(
            tests, np.full(10_000, 50.0), draw.binomial(50, 0.5, 10_000).astype(float)
        ).any()


def test_a_fall_and_a_rise_are_each_seen_once_and_soon() -> None:
    fall, rise = drifts(rates((0.25, 3000), (0.1, 3000), (0.25, 3000), seed=1), block=50)
    assert 3000 < fall < 4000
    assert 6000 < rise < 7000


def test_streams_do_not_disturb_one_another() -> None:
    alone, together = drift.new(1), drift.new(3)
    values = rates((0.3, 1000), (0.0, 1000), seed=3).reshape(-1, 50)
    for part in values:
        one = drift.update(alone, np.array([50.0]), np.array([part.sum()]))
        several = drift.update(together, np.array([0.0, 50.0, 50.0]), np.array([0.0, part.sum(), 10.0]))
        assert several.tolist() == [False, bool(one[0]), False]
    assert (together[1] == alone[0]).all()
    assert not together[0].any()
