from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from afresh.models import scorers
from afresh.models.arrays import Floats, Indices
from afresh.models.fusion.features import features
from afresh.models.layout import HISTORY
from afresh.models.retrieval.asking import Asked, Items
from afresh.models.scorers.cases import cases, catalogue, user
from afresh.models.scoring import POPULAR, Candidates, Request, score_lists

NOTHING = np.zeros(0, np.int32)
ITEMS = catalogue(1000)
SIZES = (30, 500, 5000)


def requests() -> list[Request]:
    made = []
    for seed in range(12):
        who = user(1000, min(5 * seed, HISTORY), seed)
        made.append(Request(who, who.history[:seed], np.arange(seed, dtype=np.int32)))
    return made


def as_bytes(found: Sequence[Candidates]) -> list[list[bytes]]:
    return [[np.ascontiguousarray(field).tobytes() for field in each] for each in found]


def test_features_are_those_of_the_scorers_in_plain_numpy() -> None:
    for case in cases(0):
        (found,) = score_lists([Request(case.user, NOTHING, case.chosen)], case.items)
        assert found.ranked == len(found.indices)
        raw = scorers.score(Asked(case.user, case.items), found.indices)
        np.testing.assert_allclose(found.features, features(raw), rtol=1e-3, atol=1e-4)


def test_a_list_is_the_same_to_the_last_bit_whatever_is_made_with_it() -> None:
    together = as_bytes(score_lists(requests(), ITEMS))
    alone = [as_bytes(score_lists([each], ITEMS))[0] for each in requests()]
    with ThreadPoolExecutor(4) as threads:
        beside = list(threads.map(lambda each: as_bytes(score_lists([each], ITEMS))[0], requests() * 20))
    assert together == alone
    assert beside == alone * 20


@pytest.mark.parametrize("number", range(len(scorers.SCORERS)))
def test_a_family_without_a_compiled_form_scores_the_same(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = score_lists(requests(), ITEMS)
    slow = replace(scorers.SCORERS[number], fill=None)
    families: list[object] = [*scorers.SCORERS]
    families[number] = slow
    monkeypatch.setattr(scorers, "SCORERS", tuple(families))
    for one, other in zip(score_lists(requests(), ITEMS), compiled, strict=True):
        assert one.indices.tolist() == other.indices.tolist()
        np.testing.assert_allclose(one.features, other.features, rtol=1e-3, atol=1e-4)


def test_others_come_after_the_ranked_candidates_once_and_do_not_change_their_features() -> None:
    who, others = user(1000, 5), np.array([999, 3, 999], np.int32)
    (plain,) = score_lists([Request(who, NOTHING, NOTHING)], ITEMS)
    (more,) = score_lists([Request(who, NOTHING, others)], ITEMS)
    assert more.indices.tolist() == [
        *plain.indices,
        *(each for each in (999, 3) if each not in plain.indices),
    ]
    assert more.ranked == plain.ranked == len(plain.indices)
    assert more.features[: more.ranked].tolist() == plain.features.tolist()


def test_the_list_of_popularity_is_the_head_without_what_is_left_out() -> None:
    (found,) = score_lists([Request(user(1000, 5), ITEMS.heads[0, :2], NOTHING)], ITEMS)
    assert found.popular.tolist() == ITEMS.heads[0, 2 : 2 + POPULAR].tolist()
    hidden = ITEMS._replace(available=np.zeros(1000, bool))
    (nothing,) = score_lists([Request(user(1000, 5), NOTHING, NOTHING)], hidden)
    assert (len(nothing.indices), len(nothing.popular)) == (0, 0)


def test_what_is_left_out_is_no_candidate() -> None:
    left_out: Indices = np.arange(0, 1000, 2, dtype=np.int32)
    (found,) = score_lists([Request(user(1000, HISTORY), left_out, NOTHING)], ITEMS)
    assert (found.indices % 2 == 1).all()


def test_no_requests_give_no_lists() -> None:
    empty: Items = catalogue(1)
    assert score_lists([], empty) == []


def test_after_a_scorer_has_raised_lists_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    right = as_bytes(score_lists(requests(), ITEMS))

    def fails(asked: Asked, chosen: Indices) -> Floats:
        raise ValueError("out of order")

    with monkeypatch.context() as patched:
        broken = replace(scorers.SCORERS[0], score=fails, fill=None)
        patched.setattr(scorers, "SCORERS", (broken, *scorers.SCORERS[1:]))
        with pytest.raises(ValueError, match="out of order"):
            score_lists(requests(), ITEMS)
    assert as_bytes(score_lists(requests(), ITEMS)) == right


def test_a_thread_goes_on_with_a_larger_catalogue_and_then_with_a_smaller_one() -> None:
    expected = {
        size: as_bytes(score_lists([Request(user(size), NOTHING, NOTHING)], catalogue(size)))
        for size in SIZES
    }
    for size in (*SIZES, *SIZES[::-1]):
        found = score_lists([Request(user(size), NOTHING, NOTHING)], catalogue(size))
        assert as_bytes(found) == expected[size]
