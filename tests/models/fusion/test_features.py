import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.fusion.features import CONTEXT, context, features, fill


def test_candidates_beyond_the_ranked_use_their_scale_and_do_not_change_it() -> None:
    raw = np.array([[1.0, 4.0, 3.0, 9.0], [0.0, 0.0, 5.0, 2.0]], np.float32)
    values = features(raw, 2)
    assert values[:2].tolist() == features(raw[:, :2]).tolist()
    assert values[3, :2].tolist() == values[1, :2].tolist(), (
        "other candidates count at most as the best ranked one"
    )
    assert values[:, 2:].tolist() == [[0.0, 0.0]] * 4, (
        "a scorer without scores for the ranked has none for others"
    )


def test_features_are_the_logarithm_and_the_root_of_each_score() -> None:
    raw = np.array([[1.0, 4.0, 0.0, 3.0], [0.0, 0.0, 0.0, 8.0]], np.float32)
    values = features(raw)
    assert values.shape == (4, 4)
    np.testing.assert_allclose(values[:, 0], np.log(raw[0] / 2 + 1e-3), rtol=1e-5)
    np.testing.assert_allclose(values[:, 1], np.sqrt(raw[0] / 4), rtol=1e-6)
    np.testing.assert_allclose(values[:, 3], [0, 0, 0, 1], rtol=1e-6)


def test_a_scorer_that_scores_nothing_has_features_of_0() -> None:
    assert not features(np.zeros((2, 5), np.float32)).any()


def test_without_candidates_there_are_no_features() -> None:
    assert features(np.zeros((3, 0), np.float32)).shape == (0, 6)


@given(st.lists(st.floats(width=32), min_size=1, max_size=8))
def test_features_are_finite_for_any_scores(scores: list[float]) -> None:
    assert np.isfinite(features(np.array([scores], np.float32))).all()


@given(st.floats(), st.integers(-(2**40), 2**40))
def test_a_context_is_finite_and_small_for_any_user(gap: float, length: int) -> None:
    values = context(np.array([length]), np.array([gap]))
    assert values.shape == (1, len(CONTEXT))
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 10


def test_a_context_tells_a_gap_of_0_from_no_gap() -> None:
    same, none = context(np.array([3, 3]), np.array([0.0, np.nan]))
    assert same[3] == 1
    assert none[3] == 0


def test_a_context_tells_new_users_from_others() -> None:
    newcomer = context(np.array([0, 1, 5, 100]), np.full(4, np.nan))[:, CONTEXT.index("newcomer")]
    assert newcomer[0] == 1
    assert (np.diff(newcomer) < 0).all()
    assert newcomer[2:].max() < 0.2


@given(st.lists(st.floats(width=32), min_size=1, max_size=8))
def test_only_what_is_no_score_breaks_a_scorer(scores: list[float]) -> None:
    sound = all(0 <= each < np.inf for each in scores)
    broken = np.zeros(2, np.int64)
    values = np.empty((4, len(scores)), np.float32)
    fill(np.array([[0.0] * len(scores), scores], np.float32), len(scores), values, broken)
    assert broken.tolist() == [0, 0 if sound else 1]
