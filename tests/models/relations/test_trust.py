import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.arrays import Reals
from afresh.models.layout import HALF_LIVES_MS
from afresh.models.learning.popularity import count_event
from afresh.models.relations.trust import BELIEVED, shares, suddenness, trust, usual

TOTALS = np.array([900.0, 900.0, 1800.0, 3600.0, 7200.0, 13_000.0, 72_000.0])
"""Votes by tenure, about as in MovieLens 100K."""

votes = st.lists(st.floats(0, 1e6), min_size=7, max_size=7)


@given(st.lists(votes, min_size=1, max_size=5), votes)
def test_a_share_is_above_0_and_at_most_1(counts: list[list[float]], totals: list[float]) -> None:
    shares = trust(np.array(counts), np.array(totals))
    assert ((shares > 0) & (shares <= 1)).all()


def test_items_taken_like_the_rest_of_the_catalogue_are_believed_for_any_number_of_votes() -> None:
    draw = np.random.default_rng(1)
    for size in (1, 10, 100, 1000):
        counts = draw.multinomial(size, TOTALS / TOTALS.sum(), 500).astype(float)
        assert trust(counts, TOTALS).min() > 0.99


def test_an_item_that_has_just_come_is_believed() -> None:
    assert trust(np.array([[BELIEVED, 0, 0, 0, 0, 0, 0]]), TOTALS).tolist() == [1.0]


def test_a_deployment_with_only_new_users_believes_them() -> None:
    counts = np.array([[500.0, 20.0, 0, 0, 0, 0, 0], [3.0, 1.0, 0, 0, 0, 0, 0]])
    totals = np.array([5000.0, 400.0, 0, 0, 0, 0, 0])
    assert trust(counts, totals).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("tenure", range(5))
def test_a_farm_cannot_double_the_votes_for_an_item(tenure: int) -> None:
    real = TOTALS / TOTALS.sum() * 30
    pushed = real.copy()
    pushed[tenure] += 1000
    (share,) = trust(pushed[None], TOTALS)
    assert share * pushed.sum() < 2 * real.sum()


def test_a_larger_farm_is_believed_less() -> None:
    believed = []
    for size in (100, 1000, 10_000):
        counts = np.array([[size, 0, 0, 0, 0, 0, 10.0]])
        believed.append(float(trust(counts, TOTALS)[0]) * counts.sum())
    assert believed == sorted(believed, reverse=True)


def test_the_first_vote_after_a_pause_makes_no_item_sudden() -> None:
    counts: Reals = np.zeros((1, 2))
    day, times = 86_400_000, np.array([0])
    for at in [*range(0, 100 * day, day // 20), 160 * day]:
        counts, times = count_event(counts, times, np.array([at]), np.ones((1, 2)), HALF_LIVES_MS[:2])
    ever, lately = counts.T
    usual = 1 / 40
    assert suddenness(lately, ever, usual).tolist() == [1.0]


def test_the_first_vote_of_an_older_user_takes_no_trust_from_what_only_newer_users_take() -> None:
    counts = np.zeros((60, 7))
    counts[:40, 0] = 100
    assert trust(counts, counts.sum(axis=0)).min() == 1.0
    counts[3, 4] = 1
    assert trust(counts, counts.sum(axis=0)).min() == 1.0


def test_the_first_items_that_people_take_are_believed() -> None:
    nothing = usual(np.zeros((5, 3)), np.zeros(5), np.zeros(5))
    votes = np.array([[50.0, 0.0, 0.0]])
    assert shares(votes, np.array([50.0]), np.array([50.0]), nothing).tolist() == [1.0]
