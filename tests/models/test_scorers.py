from dataclasses import replace

import numpy as np
import pytest

from models import fusion, relations, scorers
from models.places import Numbering
from models.scorers import NAMES, SCORERS, Asked, Items, User, candidates, counted, new_fusion, score

NOW_MS = 1_700_000_000_000


def catalogue(items: int = 30, seed: int = 0) -> Items:
    rng = np.random.default_rng(seed)
    width = min(scorers.RELATED, items)
    related = np.stack([rng.permutation(items)[:width] for _ in range(items)]).astype(np.int32)
    related[rng.random(related.shape) < 0.5] = -1
    akin = np.stack([rng.permutation(items)[: scorers.AKIN] for _ in range(items)]).astype(np.int32)
    embeddings = rng.normal(size=(items, 16)).astype(np.float32)
    counts = rng.random((items, len(scorers.HALF_LIVES_MS))).astype(np.float32)
    return Items(
        available=np.ones(items, bool),
        keys=rng.permutation(items).astype(np.uint64),
        domain=rng.integers(0, 3, items).astype(np.int32),
        examples=rng.integers(0, 50, items).astype(np.uint32),
        counts=counts,
        count_times=np.full(items, NOW_MS - 1000),
        embeddings=embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
        related=related,
        strengths=np.where(related >= 0, rng.random(related.shape), 0).astype(np.float32),
        vectors=rng.random((items, relations.RANK)).astype(np.float32),
        mass=rng.random(items).astype(np.float32) * 10,
        akin=akin,
        likeness=rng.random(akin.shape).astype(np.float32),
        heads=np.argsort(-counts, axis=0)[: scorers.HEAD].T.astype(np.int32),
        trust=np.ones(items, np.float32),
    )


def user(items: int = 30, length: int = 8, seed: int = 0) -> User:
    rng = np.random.default_rng(seed)
    history = rng.permutation(items)[:length].astype(np.int32)
    ages = np.cumsum(rng.random(length)).astype(np.float32)
    return User(history, ages - ages[0] if length else ages, 3 * length, NOW_MS)


def asking(who: User, items: Items) -> Asked:
    numbering = Numbering()
    numbering.reach(len(items.keys))
    return Asked(who, items, numbering)


def by_name(who: User, items: Items) -> dict[str, np.ndarray]:
    asked = asking(who, items)
    return dict(zip(NAMES, score(asked, candidates(asked, who.history)), strict=True))


def test_every_scorer_gives_a_finite_score_not_below_0_of_every_candidate() -> None:
    asked = asking(user(), catalogue())
    raw = score(asked, candidates(asked, np.zeros(0, np.int32)))
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
    for name in ("neighbours", "text", "akin", "own"):
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
    exact = np.zeros((30, 30), np.float32)
    for row in range(30):
        known = items.related[row] >= 0
        exact[row, items.related[row][known]] = items.strengths[row][known]
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


def test_a_small_catalogue_is_scored_whole_in_the_order_of_the_keys() -> None:
    items = catalogue()
    found = candidates(asking(user(), items), np.array([3, 4], np.int32))
    assert set(found.tolist()) == set(range(30)) - {3, 4}
    assert (np.diff(items.keys[found].astype(np.int64)) > 0).all()


def test_of_a_large_catalogue_a_few_hundred_items_are_scored_whatever_its_size() -> None:
    sizes = []
    for size in (1000, 4000):
        items = catalogue(size)
        who = user(size, length=scorers.HISTORY)
        asked = asking(who, items)
        found = candidates(asked, who.history)
        assert len(set(found.tolist())) == len(found)
        assert not set(found.tolist()) & set(who.history.tolist())
        sizes.append(len(found))
    assert max(sizes) < scorers.CANDIDATES + sum(scorers.LISTED_HEADS) + 200


def test_candidates_are_related_or_alike_or_popular() -> None:
    items, who = catalogue(3000), user(3000, length=3)
    found = candidates(asking(who, items), np.zeros(0, np.int32))
    near = {*items.related[who.history].ravel().tolist(), *items.akin[who.history].ravel().tolist()}
    assert set(found.tolist()) <= near | set(items.heads.ravel().tolist()) | set(who.history.tolist())
    assert set(items.related[who.history].ravel().tolist()) - {-1} <= set(found.tolist())
    assert set(items.heads[0, : scorers.LISTED_HEADS[0]].tolist()) <= set(found.tolist())


def test_items_that_are_not_available_are_no_candidates() -> None:
    items = catalogue(1000)
    hidden = replace(items, available=np.arange(1000) % 2 == 0)
    found = candidates(asking(user(1000), hidden), np.zeros(0, np.int32))
    assert (found % 2 == 0).all()


def test_a_time_without_events_changes_no_order_of_the_popular() -> None:
    later = replace(user(), now_ms=NOW_MS + 90 * 86_400_000)
    now, then = (by_name(each, catalogue())["trending"] for each in (user(), later))
    assert (np.argsort(now) == np.argsort(then)).all()


@pytest.mark.parametrize(
    ("taken", "stage"),
    [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (15, 4), (16, 5), (255, 8), (256, 9), (10**9, 9)],
)
def test_an_event_counts_at_the_stage_of_its_user(taken: int, stage: int) -> None:
    amounts = counted(np.array([taken]))[0]
    assert (amounts[: scorers.HORIZONS] == 1).all()
    assert np.flatnonzero(amounts[scorers.HORIZONS :]).tolist() == [stage]
    assert len(amounts) == len(scorers.HALF_LIVES_MS)


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
