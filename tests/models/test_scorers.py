from dataclasses import fields, replace

import numpy as np
import pytest

from models import factors, fusion, rank, scorers
from models.scorers import NAMES, SCORERS, CatalogueArrays, Users, counted, new_fusion, score

NOW_MS = 1_700_000_000_000


def catalogue(items: int = 30, seed: int = 0) -> CatalogueArrays:
    rng = np.random.default_rng(seed)
    neighbours = rng.integers(-1, items, (items, scorers.NEIGHBOURS)).astype(np.int32)
    reverse = rng.integers(-1, items, (items, scorers.REVERSE_NEIGHBOURS)).astype(np.int32)
    embeddings = rng.normal(size=(items, 16)).astype(np.float32)
    return CatalogueArrays(
        neighbours=neighbours,
        strengths=np.where(neighbours >= 0, rng.random(neighbours.shape), 0).astype(np.float32),
        reverse=reverse,
        reverse_strengths=np.where(reverse >= 0, rng.random(reverse.shape), 0).astype(np.float32),
        scale=rng.random(items).astype(np.float32),
        factors=rng.normal(size=(items, factors.WIDTH)).astype(np.float32),
        counts=rng.random((items, len(scorers.HALF_LIVES_MS))),
        count_times=np.full(items, NOW_MS - 1000),
        embeddings=embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
    )


def users(count: int = 4, items: int = 30, seed: int = 0) -> Users:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, scorers.ASKED + 1, count)
    there = np.arange(scorers.ASKED) < lengths[:, None]
    ages = np.cumsum(rng.random(there.shape), axis=1)
    return Users(
        history=np.where(there, rng.integers(0, items, there.shape), -1).astype(np.int32),
        ages=np.where(there, ages, np.nan).astype(np.float32),
        vectors=rng.normal(size=(count, 2, factors.DIMENSIONS)).astype(np.float32),
        lengths=lengths,
        now_ms=NOW_MS,
    )


def some(batch: Users, chosen: slice) -> Users:
    arrays = {f.name: getattr(batch, f.name)[chosen] for f in fields(batch) if f.name != "now_ms"}
    return replace(batch, **arrays)


def whole(blocks: list[np.ndarray], count: int) -> np.ndarray:
    return np.concatenate([np.broadcast_to(block, (len(block), count, block.shape[2])) for block in blocks])


def test_every_scorer_gives_a_finite_score_not_below_0_of_every_item_for_every_user() -> None:
    raw = whole(score(users(), catalogue()), 4)
    assert raw.shape == (len(NAMES), 4, 30)
    assert raw.dtype == np.float32
    assert np.isfinite(raw).all()
    assert (raw >= 0).all()
    assert (raw.max(axis=(1, 2)) > 0).all()


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda scorer: "+".join(scorer.priors))
def test_a_scorer_fills_as_many_blocks_as_it_names(scorer: scorers.Scorer) -> None:
    assert scorer.score(users(), catalogue()).shape in [(len(scorer.priors), n, 30) for n in (1, 4)]


def test_no_name_stands_twice() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_a_list_does_not_depend_on_who_else_is_in_the_batch() -> None:
    batch = users(7)
    fused = new_fusion()

    def lists(chosen: Users) -> list[list[int]]:
        weights = fused.weights(fusion.context(chosen.lengths, np.full(len(chosen.lengths), np.nan)))
        values = fusion.features(score(chosen, catalogue()), len(chosen.history))
        made: list[list[int]] = rank.top(fusion.fuse(weights, values), np.zeros(30, bool), 10).tolist()
        return made

    assert lists(batch) == [lists(some(batch, slice(u, u + 1)))[0] for u in range(7)]


def test_a_user_without_any_event_is_scored_by_what_others_took() -> None:
    raw = score(replace(users(1), history=np.full((1, scorers.ASKED), -1, np.int32)), catalogue())
    by_name = dict(zip(NAMES, whole(raw, 1)[:, 0], strict=True))
    assert not by_name["neighbours"].any()
    assert not by_name["text"].any()
    assert by_name["popular"].all()
    assert by_name["stage"].all()


def test_an_empty_catalogue_gives_no_scores() -> None:
    nobody = replace(users(2), history=np.full((2, scorers.ASKED), -1, np.int32))
    assert fusion.features(score(nobody, catalogue(0)), 2).shape == (2, 2 * len(NAMES), 0)


def test_a_time_without_events_changes_no_order_of_the_popular() -> None:
    later = replace(users(), now_ms=NOW_MS + 90 * 86_400_000)
    place = NAMES.index("trending")
    now, then = (whole(score(each, catalogue()), 4)[place, 0] for each in (users(), later))
    assert (np.argsort(now) == np.argsort(then)).all()


@pytest.mark.parametrize(
    ("length", "stage"),
    [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (15, 4), (16, 5), (31, 5), (32, 6), (10**9, 6)],
)
def test_an_event_counts_at_the_stage_of_its_user(length: int, stage: int) -> None:
    amounts = counted(np.array([length]))[0]
    assert amounts[:2].tolist() == [1, 1]
    assert np.flatnonzero(amounts[2:]).tolist() == [stage]
    assert len(amounts) == len(scorers.HALF_LIVES_MS)


def test_a_new_learner_starts_from_the_priors_in_every_context() -> None:
    fused = new_fusion()
    weights = fused.weights(fusion.context(np.array([0, 500]), np.array([np.nan, 3.0])))
    assert weights.shape == (2, 2 * len(NAMES))
    assert (weights[0] == weights[1]).all()
    assert (fused.by_scorer() > 0).all()
