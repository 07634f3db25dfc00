import numpy as np
import pytest

from afresh.models import scorers
from afresh.models.fusion.features import FEATURES_PER_SCORER
from afresh.models.fusion.weights import Weights, gradient
from afresh.models.lists import rank
from afresh.state.catalogue.catalogue import Known
from afresh.state.judged.examples import BROKEN, JUDGED, TAUGHT, UNJUDGED, JudgedArray, JudgedExamples
from afresh.state.judged.kept import unpack
from afresh.state.judged.verdicts import LIST_LENGTH, RANKINGS, Rate
from afresh.state.judged.weighing import Weighing
from afresh.state.keys import key_of
from afresh.streams.serving.judge import Judge
from afresh.streams.serving.recommend import SERVED_BYTES
from afresh.streams.serving.served import ServedList, ServedLists
from tests.streams.making import took

SITUATION = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
NUMBERS = {key_of(f"i{number}"): number for number in range(100)}
WEIGHTS = Weights(scorers.prior(), version=7)


def served_list(
    *candidates: int, popular: tuple[int, ...] = (), size: int = LIST_LENGTH, broken: bool = False
) -> ServedList:
    draw = np.random.default_rng(len(candidates))
    shape = len(candidates), len(scorers.NAMES)
    rows = np.array(candidates, np.int32)
    return ServedList(
        rows,
        draw.normal(size=shape).astype(np.float32),
        draw.random(shape).astype(np.float16),
        SITUATION,
        rows[:size],
        np.array(popular, np.int32),
        made_with=5,
        broken=broken,
    )


def judging(trust: float = 1.0, **lists: ServedList) -> Judge:
    served = ServedLists(SERVED_BYTES)
    for user, each in lists.items():
        served.remember(user, each)
    known = lambda key: Known(NUMBERS.get(key, -1), 3, trust)  # noqa: E731 - short
    return Judge(2, served, known, WEIGHTS)


def record_of(judge: Judge) -> JudgedExamples:
    (record,) = judge.collected.together(9)
    return record


def examples_of(judge: Judge) -> JudgedArray:
    return record_of(judge).examples()


def rates(judge: Judge) -> dict[str, Rate]:
    """Return the rates of all examples, as the one who learns counts them."""
    weighing = Weighing(unpack(b""))
    weighing.take(record_of(judge))
    return weighing.kept.verdicts.rates().get("all", {})


def test_an_item_taken_is_judged_by_its_places_in_the_served_and_the_popular_list() -> None:
    judged = judging(ann=served_list(*range(20), popular=(7, 3)))
    judged.taken(took("i3"), 0, 0)
    assert rates(judged)["served"] == pytest.approx((1.0, rank.ndcg(3)))
    assert rates(judged)["popularity"] == pytest.approx((1.0, rank.ndcg(1)))
    judged.taken(took("i15"), 1, 0)
    assert rates(judged)["served"] == pytest.approx((0.5, rank.ndcg(3) / 2))


def test_an_item_outside_the_served_list_is_a_miss() -> None:
    judged = judging(ann=served_list(*range(20), size=3))
    judged.taken(took("i2"), 0, 0)
    judged.taken(took("i3"), 1, 0)
    assert rates(judged)["served"].hit_rate == 0.5


def test_each_single_scorer_ranks_the_candidates_and_ties_count_against_it() -> None:
    made = served_list(*range(20))
    made.logarithms[:, 0] = -np.arange(20)
    made.logarithms[:, 1] = 0.0
    made.logarithms[:, 2] = np.where(np.arange(20) == 12, np.nan, np.arange(20) == 4)
    judged = judging(ann=made)
    judged.taken(took("i4"), 0, 0)
    found = rates(judged)
    assert found[RANKINGS[2]] == pytest.approx((1.0, rank.ndcg(4)))
    assert found[RANKINGS[3]] == (0.0, 0.0)
    assert found[RANKINGS[4]] == pytest.approx((1.0, rank.ndcg(1)))


def test_an_unknown_item_is_a_miss_even_if_a_list_has_empty_places() -> None:
    judged = judging(ann=served_list(1, 2, popular=(5, -1, -1)))
    judged.taken(took("i1000"), 0, 0)
    assert {tuple(rate) for rate in rates(judged).values()} == {(0.0, 0.0)}
    assert examples_of(judged)["became"].tolist() == [JUDGED]


def test_an_example_of_a_user_without_a_list_is_told_but_not_judged() -> None:
    judged = judging()
    judged.taken(took("i1", received=4), 0, 0)
    (example,) = examples_of(judged)
    assert (example["became"], example["received"]) == (UNJUDGED, 4)
    assert rates(judged) == {}


def test_an_example_tells_what_can_be_learned_from_what_was_served() -> None:
    made = served_list(*range(20))
    judged = judging(trust=0.5, ann=made)
    judged.taken(took("i3", platform="tv"), 40, 12)
    record, (example,) = record_of(judged), examples_of(judged)
    assert (record.source, record.incarnation, record.places().tolist()) == (2, 9, [40])
    assert (record.domains, record.platforms) == (["films"], ["tv"])
    assert (example["became"], example["item"], example["made_with"]) == (TAUGHT, key_of("i3"), 5)
    assert (example["user_took"], example["item_taken"], example["trust"]) == (12, 3, 0.5)
    (weights,) = WEIGHTS.in_contexts(SITUATION[None])
    features = np.zeros((20, FEATURES_PER_SCORER * len(scorers.NAMES)), np.float32)
    features[:, 0::2], features[:, 1::2] = made.logarithms, made.roots
    np.testing.assert_allclose(example["gradient"], gradient(weights, features, 3), rtol=1e-6)
    assert example["situation"].tolist() == SITUATION.tolist()


def test_nothing_is_learned_from_a_list_for_which_a_scorer_was_broken() -> None:
    judged = judging(ann=served_list(*range(20), broken=True))
    judged.taken(took("i3"), 0, 0)
    (example,) = examples_of(judged)
    assert example["became"] == BROKEN
    assert not example["gradient"].any()
    assert rates(judged)["served"].hit_rate == 1


def test_a_judge_says_when_its_newest_event_came() -> None:
    judged = judging()
    for received in (5, 9, 7):
        judged.taken(took("i1", received=received), received, 0)
    assert judged.received == 9
