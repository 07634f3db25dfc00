"""SASRec has its own module, apart from the other rankers, because it trains for seconds."""

from __future__ import annotations

import numpy as np
import pytest

from afresh.deploy.evaluate.baselines.sasrec import SASRec
from tests.deploy.evaluate.baselines.test_rankers import learn

pytestmark = pytest.mark.slow


def test_it_learns_which_item_follows_and_uses_the_newest_history() -> None:
    model = SASRec(events=1000, first_epochs=30, epochs=5)
    for user in range(40):
        learn(model, *[(user, (user + step) % 8) for step in range(10)])
    learn(model, (50, 2))
    assert model.scores(50, 8, 0).argmax() == 3
    learn(model, (50, 6))
    assert model.scores(50, 8, 0).argmax() == 7


def test_it_ranks_items_last_that_came_after_its_training() -> None:
    model = SASRec(events=1000, first_epochs=1, epochs=1)
    for user in range(10):
        learn(model, *[(user, step) for step in range(5)])
    scores = model.scores(0, 7, 0)
    assert np.isneginf(scores[5:]).all()
    assert np.isfinite(scores[:5]).all()


def test_it_ignores_items_in_a_history_that_came_after_its_training() -> None:
    model = SASRec(events=1000, first_epochs=1, epochs=1)
    for user in range(10):
        learn(model, *[(user, step) for step in range(5)])
    before = model.scores(0, 5, 0)
    learn(model, (0, 6))
    assert model.scores(0, 7, 0)[:5].tolist() == before.tolist()
