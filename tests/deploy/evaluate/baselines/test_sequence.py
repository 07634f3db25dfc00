"""The sequence encoder has its own module, apart from the other rankers, because it trains for seconds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from afresh.deploy.evaluate.baselines import sequence
from afresh.deploy.evaluate.baselines.popularity import Popularity
from afresh.deploy.evaluate.baselines.sequence import SequenceBaseline
from afresh.models.sequence import trainer
from afresh.models.sequence.pasts import past_of
from tests.deploy.evaluate.baselines.test_rankers import learn

pytestmark = pytest.mark.slow

ITEMS, USERS, STEPS = 8, 40, 10
TEXTS = np.eye(ITEMS, dtype=np.float16)


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence, "EVERY", USERS * STEPS // 2)
        patch.setattr(trainer, "BATCH", 12)
        yield


def learned() -> SequenceBaseline:
    """A model of people who take the items of a cycle one after the other, some of them more often than others."""
    model = SequenceBaseline()
    for item in range(ITEMS):
        model.read(item, TEXTS[item])
    for user in range(USERS):
        learn(model, *[(user, (user // 3 + step) % ITEMS) for step in range(STEPS)])
    return model


def test_it_learns_which_item_follows_better_than_popularity_and_uses_the_newest_past() -> None:
    model, popular = learned(), Popularity()
    for user in range(USERS):
        learn(popular, *[(user, (user // 3 + step) % ITEMS) for step in range(STEPS)])
    hits = {"model": 0, "popular": 0}
    for item in range(ITEMS):
        learn(model, (99, item))
        hits["model"] += int(model.scores(99, ITEMS, 0).argmax() == (item + 1) % ITEMS)
        hits["popular"] += int(popular.scores(99, ITEMS, 0).argmax() == (item + 1) % ITEMS)
    assert hits["model"] > hits["popular"]
    assert hits["model"] >= ITEMS - 1


def test_an_item_that_came_after_its_training_stands_where_its_text_puts_it_or_is_ranked_last() -> None:
    model = learned()
    model.read(ITEMS, TEXTS[4])
    scores = model.scores(3, ITEMS + 2, 0)
    assert np.isneginf(scores[ITEMS + 1])
    assert np.isfinite(scores[: ITEMS + 1]).all()
    placed = model._trainer.placed(TEXTS[4])
    (vector,) = model._trainer.user_vectors([past_of(model._taken[3])])
    assert scores[ITEMS] == pytest.approx(placed @ vector)


def test_an_item_in_a_past_that_came_after_its_training_changes_nothing() -> None:
    model = learned()
    before = model.scores(3, ITEMS, 0)
    learn(model, (3, ITEMS))
    assert model.scores(3, ITEMS, 0).tolist() == before.tolist()


def test_before_it_was_trained_and_without_a_past_nothing_is_known() -> None:
    model = SequenceBaseline()
    model.read(0, TEXTS[0])
    assert np.isneginf(model.scores(0, 2, 0)).all()
    assert np.isneginf(learned().scores(77, 2, 0)).all()
