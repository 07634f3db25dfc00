from dataclasses import replace

import numpy as np
import pytest

from afresh.models import scorers
from afresh.models.fusion import fusion
from afresh.models.retrieval.asking import Items, User
from afresh.models.retrieval.candidates import gather
from afresh.models.scorers import NAMES, SCORERS, new_fusion, score
from tests.models.making import NOW_MS, asking, catalogue, user


def by_name(who: User, items: Items) -> dict[str, np.ndarray]:
    asked = asking(who, items)
    return dict(zip(NAMES, score(asked, gather(asked, who.history)), strict=True))


def filled(others: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What each item has of every other, shape (N, N)."""
    table = np.zeros((len(others), len(others)), np.float32)
    items, columns = np.nonzero(others >= 0)
    table[items, others[items, columns]] = values[items, columns]
    return table


def test_every_scorer_gives_a_finite_score_not_below_0_of_every_candidate() -> None:
    asked = asking(user(), catalogue())
    raw = score(asked, gather(asked, np.zeros(0, np.int32)))
    assert raw.shape == (len(NAMES), 30)
    assert raw.dtype == np.float32
    assert np.isfinite(raw).all()
    assert (raw >= 0).all()
    assert (raw.max(axis=1) > 0).all()


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda scorer: "+".join(scorer.priors))
@pytest.mark.parametrize("chosen", [0, 1, 20])
def test_a_scorer_gives_a_row_for_each_of_its_names(scorer: scorers.Scorer, chosen: int) -> None:
    rows = np.arange(chosen, dtype=np.int32)
    assert scorer.score(asking(user(), catalogue()), rows).shape == (len(scorer.priors), chosen)


def test_no_name_stands_twice() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_a_user_without_any_event_is_scored_by_what_others_took() -> None:
    raw = by_name(user(length=0), catalogue())
    for name in ("neighbours", "next", "soon", "text", "akin", "own"):
        assert not raw[name].any()
    assert raw["popular"].all()
    assert raw["stage"].all()


def test_items_of_the_history_that_nobody_knows_are_passed_over() -> None:
    who = user()
    unknown = replace(who, history=np.where(np.arange(8) == 2, -1, who.history).astype(np.int32))
    raw = by_name(unknown, catalogue())
    assert np.isfinite(np.stack(list(raw.values()))).all()
    asked = asking(unknown, catalogue())
    np.testing.assert_array_equal(asked.weights(scorers.ASK), np.delete(scorers.ASK.weights(who.ages), 2))


def test_neighbours_are_the_relations_to_the_history_weighted_by_a_kernel() -> None:
    items, who = catalogue(), user()
    exact = filled(items.related, items.strengths)
    smooth = items.vectors @ items.vectors.T + scorers.UNSMOOTHED * exact
    np.fill_diagonal(smooth, 0)
    asked_mass, taken_mass = (items.mass + 1) ** scorers.ASKED_MASS, (items.mass + 1) ** scorers.TAKEN_MASS
    weights = scorers.ASK.weights(who.ages) * asked_mass[who.history]
    chosen = np.arange(30, dtype=np.int32)
    raw = dict(zip(NAMES, score(asking(who, items), chosen), strict=True))
    expected = weights @ smooth[who.history] ** scorers.POWER * taken_mass
    np.testing.assert_allclose(raw["neighbours"], expected, rtol=1e-4)
    expected = weights @ np.sqrt(exact[who.history]) * taken_mass
    np.testing.assert_allclose(raw["direct"], expected, rtol=1e-4, atol=1e-6)


def test_what_comes_next_is_what_followed_the_last_items_weighted_by_a_kernel() -> None:
    items, who = catalogue(), user()
    strengths = filled(items.followers, items.following)
    raw = dict(zip(NAMES, score(asking(who, items), np.arange(30, dtype=np.int32)), strict=True))
    for name, kernel in (("next", scorers.NEXT), ("soon", scorers.ASK_SOON)):
        expected = kernel.weights(who.ages) @ np.sqrt(strengths[who.history])
        np.testing.assert_allclose(raw[name], expected, rtol=1e-5)


def test_a_time_without_events_changes_no_order_of_the_popular() -> None:
    later = replace(user(), now_ms=NOW_MS + 90 * 86_400_000)
    now, then = (by_name(each, catalogue())["trending"] for each in (user(), later))
    assert (np.argsort(now) == np.argsort(then)).all()


def test_a_new_learner_starts_from_the_priors_in_every_context() -> None:
    fused = new_fusion()
    weights = fused.weights(fusion.context(np.array([0, 500]), np.array([np.nan, 3.0])))
    assert weights.shape == (2, 2 * len(NAMES))
    assert (weights[0] == weights[1]).all()


def test_of_an_item_that_is_pushed_the_scores_by_votes_are_believed_in_part() -> None:
    plain, who = catalogue(), user()
    pushed = replace(plain, trust=np.where(np.arange(30) == 7, 0.1, 1).astype(np.float32))
    chosen = np.arange(30, dtype=np.int32)
    before, after = (scorers.score(asking(who, items), chosen) for items in (plain, pushed))
    left = np.where(scorers.BY_VOTES, 0.1, 1.0)
    np.testing.assert_allclose(after[:, 7], left * before[:, 7], rtol=1e-5)
    np.testing.assert_array_equal(np.delete(after, 7, axis=1), np.delete(before, 7, axis=1))
    assert not scorers.BY_VOTES[[NAMES.index(name) for name in ("text", "akin", "own", "new")]].any()
