from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from models import fusion, rank, scorers
from streams import judge
from streams.judge import MEMORY, Judge, Served, ServedLists, Verdicts

WIDTH = fusion.FEATURES_PER_SCORER * len(scorers.NAMES)
SITUATION = np.array([1.0, 0.0, 0.0, 0.0])


def served_list(*candidates: int, popular: tuple[int, ...] = ()) -> Served:
    draw = np.random.default_rng(len(candidates))
    features = draw.normal(size=(len(candidates), WIDTH)).astype(np.float32)
    return Served(np.array(candidates, np.int32), features, SITUATION, np.array(popular, np.int32))


def key(number: int) -> bytes:
    return number.to_bytes(8, "little")


def judging(packed: bytes = b"", **lists: Served) -> Judge:
    served = ServedLists()
    for user, each in lists.items():
        served.put(user, each)
    return Judge(packed, served, row_of=lambda number: number if number < 100 else -1)


@given(st.lists(st.sampled_from("abcd"), max_size=20), st.integers(1, 3))
def test_the_lists_of_the_users_served_last_are_remembered(users: list[str], limit: int) -> None:
    served, model = ServedLists(limit), dict[str, Served]()
    for user in users:
        made = served_list()
        served.put(user, made)
        model.pop(user, None)
        model[user] = made
        model = dict(list(model.items())[-limit:])
        assert {each: served.get(each) for each in "abcd"} == {each: model.get(each) for each in "abcd"}


@given(st.lists(st.tuples(st.none() | st.integers(0, 30), st.none() | st.integers(0, 30)), max_size=30))
def test_verdicts_are_means_that_fade(ranks: list[tuple[int | None, int | None]]) -> None:
    verdicts = Verdicts()
    for served, popular in ranks:
        verdicts.add(served, popular)
    fading = [MEMORY**steps for steps in range(len(ranks))][::-1]
    expected = {
        "judged": sum(fading),
        "served_hits": sum(f * rank.hit_rate(r) for f, (r, _) in zip(fading, ranks, strict=True)),
        "served_gain": sum(f * rank.ndcg(r) for f, (r, _) in zip(fading, ranks, strict=True)),
        "popular_hits": sum(f * rank.hit_rate(r) for f, (_, r) in zip(fading, ranks, strict=True)),
        "popular_gain": sum(f * rank.ndcg(r) for f, (_, r) in zip(fading, ranks, strict=True)),
    }
    for name, value in expected.items():
        assert getattr(verdicts, name) == pytest.approx(value)


def test_an_item_taken_is_judged_by_its_places_in_both_lists() -> None:
    judged = judging(ann=served_list(*range(20), popular=(7, 3)))
    judged.taken("ann", key(3))
    assert (judged.verdicts.served_hits, judged.verdicts.popular_hits) == (1.0, 1.0)
    assert judged.verdicts.served_gain == pytest.approx(rank.ndcg(3))
    assert judged.verdicts.popular_gain == pytest.approx(rank.ndcg(1))
    judged.taken("ann", key(15))
    assert judged.verdicts.served_hits == pytest.approx(MEMORY)
    assert judged.verdicts.judged == pytest.approx(1 + MEMORY)


def test_an_item_that_nobody_knows_is_a_miss_also_where_a_list_has_empty_places() -> None:
    judged = judging(ann=served_list(1, 2, popular=(5, -1, -1)))
    judged.taken("ann", key(100))
    assert (judged.verdicts.judged, judged.verdicts.served_hits, judged.verdicts.popular_hits) == (
        1.0,
        0.0,
        0.0,
    )


def test_a_user_without_a_list_is_counted_and_not_judged() -> None:
    judged = judging()
    judged.taken("ann", key(1))
    assert judged.fusion.examples == 1
    assert judged.verdicts == Verdicts()


def test_the_fusion_learns_from_what_was_served() -> None:
    made = served_list(*range(20))
    judged, alone = judging(ann=made), scorers.new_fusion()
    for number in range(3 * fusion.BATCH):
        judged.taken("ann", key(number % 20))
        alone.learn(made.features, SITUATION, number % 20)
    assert judged.fusion.to_bytes() == alone.to_bytes()
    assert (judged.fusion.omega != scorers.new_fusion().omega).any()


def test_runs_can_end_anywhere() -> None:
    made = served_list(*range(20))
    whole, packed = judging(ann=made), b""
    for number in range(50):
        whole.taken("ann", key(number % 25))
        part = judging(packed, ann=made)
        part.taken("ann", key(number % 25))
        packed = part.finish()
    assert packed == whole.finish()


def test_weights_of_other_scorers_start_anew_and_the_count_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = judging(ann=served_list(*range(20)))
    for number in range(2 * fusion.BATCH):
        judged.taken("ann", key(number % 20))
    packed = judged.finish()
    with monkeypatch.context() as patch:
        patch.setattr(scorers, "NAMES", tuple(reversed(scorers.NAMES)))
        learned, verdicts = judge.unpack(packed)
    assert (learned.omega == scorers.new_fusion().omega).all()
    assert learned.examples == 2 * fusion.BATCH
    assert verdicts == judged.verdicts


def test_nothing_kept_is_a_new_learner() -> None:
    learned, verdicts = judge.unpack(b"")
    assert learned.to_bytes() == scorers.new_fusion().to_bytes()
    assert verdicts == Verdicts()


def rate(name: str, ranking: str) -> Any:
    return REGISTRY.get_sample_value(name, {"ranking": ranking})


def test_verdicts_of_all_partitions_are_one_rate() -> None:
    judge.report([Verdicts(1.0, 1.0, 0.5, 0.0, 0.0), Verdicts(3.0, 0.0, 0.0, 3.0, 1.5)])
    assert (rate("afresh_hit_rate_10", "served"), rate("afresh_ndcg_10", "served")) == (0.25, 0.125)
    assert (rate("afresh_hit_rate_10", "popularity"), rate("afresh_ndcg_10", "popularity")) == (0.75, 0.375)
    judge.report([Verdicts()])
    assert rate("afresh_hit_rate_10", "served") == 0.25
