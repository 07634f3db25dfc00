from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from afresh.deploy.evaluate import baseline, baselines
from afresh.deploy.evaluate.baseline import Baseline, Taken
from afresh.deploy.evaluate.baselines import sequence
from afresh.deploy.evaluate.baselines.isgd import ISGD
from afresh.deploy.evaluate.baselines.item_knn import ItemKNN
from afresh.deploy.evaluate.baselines.popularity_decayed import DecayedPopularity

NAMES = sorted(
    file.stem
    for file in Path(str(baselines.__file__)).parent.glob("*.py")
    if file.stem not in ("__init__", "river_factors")
)

TRAINED = {"sasrec", "sequence"}
"""Those that train for seconds."""


def learn(model: Baseline, *taken: tuple[int, int]) -> None:
    for number, (user, item) in enumerate(taken):
        model.learn(Taken(user, item, number))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in TRAINED else name for name in NAMES],
)
def test_every_ranker_scores_any_user_and_prefers_what_people_take(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequence, "EVERY", 400)
    model = baseline.find(name)(800)
    assert model.scores(0, 5, 0).shape == (5,)
    for number in range(800):
        # Each user takes the items 0 to 3 in turn; nobody takes item 4.
        model.learn(Taken(number % 40, number // 40 % 4, number))
    scores = model.scores(3, 5, 800)
    assert not np.isnan(scores).any()
    assert scores[:4].max() > scores[4]
    assert model.scores(99, 6, 800).shape == (6,)


def test_a_count_is_halved_after_half_life_events() -> None:
    model = DecayedPopularity(half_life=10)
    learn(model, (0, 0), *[(0, 1)] * 10)
    first, second = model.scores(0, 2, 0)
    assert first == pytest.approx(2.0**-10 * 2**10)
    assert second / first == pytest.approx(sum(2 ** (n / 10) for n in range(1, 11)))


def test_one_step_of_isgd_is_the_step_of_the_paper() -> None:
    model = ISGD(factors=3, learning_rate=0.1, regularisation=0.01)
    user, item = model._users.of(1)[0].copy(), model._items.of(1)[0].copy()
    learn(model, (0, 0))
    error = 1 - user @ item
    user = user + 0.1 * (error * item - 0.01 * user)
    item = item + 0.1 * (error * user - 0.01 * item)
    assert model.scores(0, 1, 0)[0] == pytest.approx(-abs(1 - user @ item))


def test_item_knn_scores_by_cosine_and_newer_items_weigh_more() -> None:
    model = ItemKNN(window=10, asked=10, decay=0.5)
    learn(model, (0, 0), (0, 1), (1, 0), (1, 2), (2, 0))
    # Item 0 was taken three times; items 1 and 2 were each taken once, by a user who also took item 0.
    assert model.scores(2, 3, 0).tolist() == pytest.approx([0, 1 / 3**0.5, 1 / 3**0.5])
    learn(model, (2, 1))
    assert model.scores(2, 3, 0)[2] == pytest.approx(0.5 / 3**0.5)
