from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.identity.confidence import chances, learn_odds

SCORES = st.lists(st.floats(-20, 20), max_size=30)


def test_odds_are_those_that_pairs_were_drawn_with() -> None:
    random = np.random.default_rng(1)
    evidence = random.normal(3, 2, (20_000, 2))
    true = evidence @ [1.0, -0.5] - 4
    odds = learn_odds(evidence, random.random(20_000) < 1 / (1 + np.exp(-true)))
    np.testing.assert_allclose(odds.of(evidence[:50]), true[:50], atol=0.4)


def test_chances_are_the_share_of_pairs_that_strangers_do_not_explain() -> None:
    random = np.random.default_rng(1)
    wrong, right, strangers = random.normal(0, 1, 5000), random.normal(3, 1, 2000), random.normal(0, 1, 5000)
    chance = chances(np.concatenate([wrong, right]), strangers, 1.0)
    for low, high in ((0.1, 0.4), (0.4, 0.7), (0.7, 0.9), (0.9, 1.0)):
        among = np.flatnonzero((chance >= low) & (chance < high))
        assert np.mean(among >= len(wrong)) == pytest.approx(chance[among].mean(), abs=0.1)


def test_more_pairs_compared_explain_more_of_what_was_found() -> None:
    scores, strangers = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.5])
    assert (chances(scores, strangers, 0.2) >= chances(scores, strangers, 2.0)).all()


@given(SCORES, SCORES, st.floats(0.1, 10))
def test_chances_lie_below_one_and_never_fall_as_scores_rise(
    scores: list[float], strangers: list[float], share: float
) -> None:
    found = chances(np.array(scores), np.array(strangers), share)
    assert ((found >= 0) & (found < 1)).all()
    assert (np.diff(found[np.argsort(scores, kind="stable")]) >= -1e-12).all()
