import numpy as np

from afresh.models import scorers
from afresh.models.fusion.features import context, features
from afresh.models.retrieval.asking import Asked
from afresh.models.scorers import NAMES, new_fusion, popularity_prior, score
from afresh.models.scorers.base import Scorer, filled
from afresh.models.scorers.cases import cases, catalogue, user
from tests.models.making import scores


def test_every_scorer_gives_every_candidate_a_finite_score_not_below_0() -> None:
    raw = score(Asked(user(), catalogue()), np.arange(30, dtype=np.int32))
    assert raw.shape == (len(NAMES), 30)
    assert raw.dtype == np.float32
    assert np.isfinite(raw).all()
    assert (raw >= 0).all()
    assert (raw.max(axis=1) > 0).all()


def test_no_two_scorers_have_the_same_name() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_a_user_without_any_event_is_scored_by_what_others_took() -> None:
    raw = scores(user(length=0), catalogue())
    for name in ("neighbours", "next", "soon", "text", "akin", "own"):
        assert not raw[name].any()
    assert raw["popular"].all()
    assert raw["stage"].all()


def test_a_new_fusion_starts_from_the_priors_in_every_context() -> None:
    fused = new_fusion()
    weights = fused.weights().in_contexts(context(np.array([0, 500]), np.array([np.nan, 3.0])))
    assert weights.shape == (2, 2 * len(NAMES))
    assert (weights[0] == weights[1]).all()


def test_the_prior_of_popularity_orders_by_popularity_alone() -> None:
    raw = scores(user(), catalogue())
    values = features(np.stack(list(raw.values())))
    (weights,) = np.ones((1, 1)) @ popularity_prior()[:1]
    assert (np.argsort(values @ weights) == np.argsort(raw["popular"])).all()


def test_trust_lowers_only_the_scores_by_votes_of_a_pushed_item() -> None:
    plain, who = catalogue(), user()
    pushed = plain._replace(trust=np.where(np.arange(30) == 7, 0.1, 1).astype(np.float32))
    chosen = np.arange(30, dtype=np.int32)
    before, after = (score(Asked(who, items), chosen) for items in (plain, pushed))
    left = np.where(scorers.BY_VOTES, 0.1, 1.0)
    np.testing.assert_allclose(after[:, 7], left * before[:, 7], rtol=1e-5)
    np.testing.assert_array_equal(np.delete(after, 7, axis=1), np.delete(before, 7, axis=1))
    assert not scorers.BY_VOTES[[NAMES.index(name) for name in ("text", "akin", "own", "new")]].any()


def test_the_compiled_form_of_every_family_fills_its_own_rows() -> None:
    everything = Scorer(dict.fromkeys(NAMES, (0.0, 0.0)), score, fill=scorers.fill)
    for case in cases(0):
        asked, chosen = Asked(case.user, case.items), case.chosen
        compiled, plain = filled(everything, asked, chosen), score(asked, chosen)
        for family in (each for each in scorers.SCORERS if each.fill is not None):
            rows = slice(*scorers.rows_of(family))
            np.testing.assert_allclose(compiled[rows], plain[rows], rtol=1e-4, atol=1e-6)
