import numpy as np
import pytest

from afresh.models.fusion import guard

BLOCK = 50


def first_alarm(served: float, popular: float, past: float, examples: int, seed: int) -> int | None:
    """Return after how many examples the guard raises the alarm; hits of the two lists are independent."""
    draw = np.random.default_rng(seed)
    wealth = guard.start()
    for start in range(0, examples, BLOCK):
        hit, popular_hit = draw.random(BLOCK) < served, draw.random(BLOCK) < popular
        wealth = guard.bet(
            wealth, BLOCK, hit.sum(), (popular_hit & ~hit).sum(), (hit & ~popular_hit).sum(), past
        )
        if guard.broken(wealth):
            return start + BLOCK
    return None


@pytest.mark.parametrize(
    ("served", "popular", "past"),
    [
        (0.2, 0.08, 0.2),  # all is well
        (0.17, 0.08, 0.2),  # a little worse than before
        (0.1, 0.08, 0.2),  # far worse than before, yet better than popularity
        (0.05, 0.09, 0.05),  # worse than popularity, but not worse than before
    ],
)
def test_lists_raise_no_alarm_unless_worse_than_before_and_than_popularity(
    served: float, popular: float, past: float
) -> None:
    assert [first_alarm(served, popular, past, 20_000, seed) for seed in range(20)] == [None] * 20


def test_lists_as_good_as_popularity_raise_at_most_one_false_alarm_per_alarm_blocks() -> None:
    blocks = 400
    alarms = sum(first_alarm(0.08, 0.08, 0.2, blocks * BLOCK, seed) is not None for seed in range(20))
    assert alarms <= 20 * blocks / guard.ALARM


@pytest.mark.parametrize(("served", "limit"), [(0.0, 400), (0.02, 1000), (0.04, 3500)])
def test_worse_lists_raise_the_alarm_sooner(served: float, limit: int) -> None:
    alarms = [first_alarm(served, 0.09, 0.2, 2 * limit, seed) for seed in range(20)]
    assert all(alarm is not None for alarm in alarms)
    assert np.median([alarm or 0 for alarm in alarms]) <= limit


def test_a_long_good_past_does_not_delay_the_alarm() -> None:
    wealth = guard.start()
    for _ in range(1000):
        wealth = guard.bet(wealth, BLOCK, 12, 1, 9, 0.2)
    blocks = 0
    while not guard.broken(wealth):
        wealth = guard.bet(wealth, BLOCK, 0, 4, 0, 0.2)
        blocks += 1
    assert blocks < 10


def test_evidence_never_overflows() -> None:
    wealth = guard.start()
    for _ in range(10_000):
        wealth = guard.bet(wealth, BLOCK, 0, 50, 0, 0.9)
    assert np.isfinite(wealth).all()
    assert guard.broken(wealth)
    assert guard.suspicious(wealth)
