from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.deploy.demo.judge import DEPTH, MostTaken, PlayerJudge, place_in, quality

CATALOGUE = [f"i{number}" for number in range(14)]
takes = st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from(CATALOGUE)), max_size=60)
lists = st.permutations(CATALOGUE)


def reference_place(taken: list[tuple[str, str]], user: str, item: str) -> int:
    """Sort the items that the user has not taken by count; put items tied with ``item`` before it."""
    counts = Counter(name for _, name in taken)
    unseen = [name for name in CATALOGUE if (user, name) not in taken]
    ranking = sorted(unseen, key=lambda name: (-counts[name], name == item))
    top = ranking[:10]
    return top.index(item) + 1 if item in top else 0


@given(takes)
def test_popularity_ranks_items_as_sorting_by_count_does(taken: list[tuple[str, str]]) -> None:
    popularity = MostTaken(CATALOGUE)
    for number, (user, item) in enumerate(taken):
        assert popularity.place(user, item) == reference_place(taken[:number], user, item)
        popularity.take(user, item)


def test_an_item_tied_with_all_others_comes_last() -> None:
    assert MostTaken(CATALOGUE).place("u", "i0") == 0
    assert MostTaken(CATALOGUE[:10]).place("u", "i0") == 10


@given(st.lists(st.integers(0, DEPTH), min_size=1))
def test_hit_rate_and_ndcg_follow_their_formulas(places: list[int]) -> None:
    found = quality(np.array(places, dtype=np.uint8))
    assert found.hit_rate == pytest.approx(sum(place > 0 for place in places) / len(places))
    gains = [1 / math.log2(1 + place) for place in places if place]
    assert found.ndcg == pytest.approx(sum(gains) / len(places))


@given(lists, st.sampled_from(CATALOGUE))
def test_only_the_first_ten_count(items: list[str], item: str) -> None:
    place = items.index(item) + 1
    assert place_in(items, item) == (place if place <= 10 else 0)


@given(st.lists(st.tuples(st.sampled_from("uv"), st.sampled_from(CATALOGUE), lists), min_size=1, max_size=30))
def test_the_judge_measures_both_rankings_on_the_same_events(
    seen: list[tuple[str, str, list[str]]],
) -> None:
    judge = PlayerJudge(CATALOGUE, len(seen))
    for user, item, served in seen:
        assert judge.judge(user, item, served) == place_in(served, item)
    places = [place_in(served, item) for _, item, served in seen]
    taken = [(user, item) for user, item, _ in seen]
    popular = [reference_place(taken[:number], *take) for number, take in enumerate(taken)]
    served_quality, popular_quality = judge.over()
    assert served_quality.hit_rate == pytest.approx(np.mean(np.array(places) > 0))
    assert popular_quality.hit_rate == pytest.approx(np.mean(np.array(popular) > 0))


def test_halves_and_recent_cover_the_right_events() -> None:
    judge = PlayerJudge(["a", "b"], 5_004)
    for number in range(5_004):
        judge.judge(f"u{number}", "a", ["a"] if number >= 2_502 else [])
    (first, _), (last, _) = judge.halves()
    assert (first.hit_rate, last.hit_rate) == (0.0, 1.0)
    assert judge.recent()[0].hit_rate == pytest.approx(2_502 / 5_000)


def test_the_course_cuts_all_events_into_stretches() -> None:
    judge = PlayerJudge(["a", "b"], 8)
    for number in range(8):
        judge.judge(f"u{number}", "a", ["a"] if number >= 6 else [])
    served, _ = judge.course(4)
    assert served == [0.0, 0.0, 0.0, 1.0]
    assert judge.course(99)[0] == [0.0] * 6 + [1.0] * 2


def test_without_judged_events_the_accuracy_is_nan() -> None:
    judge = PlayerJudge(["a"], 1)
    assert math.isnan(judge.over()[0].hit_rate)
    assert judge.course(5) == ([], [])
