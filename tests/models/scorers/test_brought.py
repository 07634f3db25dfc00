from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.arrays import Floats
from afresh.models.retrieval.asking import ASK_LONG, Asked, Items
from afresh.models.retrieval.codes import coded, decoded
from afresh.models.scorers import brought
from afresh.models.scorers.base import filled
from afresh.models.scorers.brought import SHARPNESS
from afresh.models.scorers.cases import catalogue, user, without_brought
from tests.models.making import scores


def bringing(vectors: Floats) -> Items:
    """Make items that bring these vectors; a row of zeros stands for none."""
    codes, scales = coded(vectors)
    return catalogue(len(vectors))._replace(brought=codes, brought_scales=scales)


def test_brought_scores_the_likeness_to_the_mean_of_the_history() -> None:
    items, who = catalogue(), user()
    vectors = decoded(items.brought, items.brought_scales)
    weights = ASK_LONG.weights(who.ages) * vectors[who.history].any(axis=1)
    mean = vectors @ vectors[who.history].T @ weights / weights.sum()
    expected = np.where(vectors.any(axis=1), np.exp(SHARPNESS * mean), 0)
    assert 0 < np.count_nonzero(weights) < len(weights)
    np.testing.assert_allclose(scores(who, items)["brought"], expected, rtol=1e-4)


def test_an_item_without_vectors_scores_nothing_even_beside_others_without() -> None:
    vectors = np.eye(4, 3, dtype=np.float32)
    who = user(4, length=4)
    assert (scores(who, bringing(vectors))["brought"] > 0).tolist() == [True, True, True, False]
    alone = replace(who, history=np.full(1, 3, np.int32), ages=who.ages[:1])
    assert not scores(alone, bringing(vectors))["brought"].any()


def test_an_item_of_the_history_without_vectors_is_no_part_of_the_mean() -> None:
    vectors = np.eye(4, 3, dtype=np.float32)
    one = replace(user(4, length=1), history=np.zeros(1, np.int32))
    two = replace(user(4, length=2), history=np.array([3, 0], np.int32))
    some, others = (scores(who, bringing(vectors))["brought"] for who in (one, two))
    np.testing.assert_allclose(some, others, rtol=1e-4)


@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.integers(0, 2))
def test_vectors_that_are_like_those_of_the_history_score_more_by_both_forms(
    seed: int, width: int, length: int
) -> None:
    vectors = np.random.default_rng(seed).normal(size=(6, width)).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    vectors[:2] = 0
    asked, chosen = Asked(user(6, length, seed), bringing(vectors)), np.arange(6, dtype=np.int32)
    plain, compiled = brought.score(asked, chosen), filled(brought.SCORER, asked, chosen)
    np.testing.assert_allclose(compiled, plain, rtol=1e-3)
    mean = asked.weights(ASK_LONG) @ vectors[asked.indices]
    order = np.argsort(vectors[2:] @ mean)
    assert (np.diff(plain[0, 2:][order]) >= -1e-3 * plain.max()).all()
    assert not plain[0, :2].any()


def test_where_no_kind_is_declared_nothing_is_scored() -> None:
    assert not scores(user(), without_brought(catalogue()))["brought"].any()
