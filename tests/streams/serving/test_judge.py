import numpy as np
import pytest

from afresh.models import scorers
from afresh.models.fusion import fusion
from afresh.models.lists import rank
from afresh.state.catalogue.catalogue import Known
from afresh.state.judged import kept as judged_rows
from afresh.state.judged import verdicts
from afresh.state.judged.verdicts import BLOCK, LIST_LENGTH, RANKINGS
from afresh.state.keys import key_of
from afresh.streams.serving.judge import Judge
from afresh.streams.serving.served import ServedList, ServedLists
from tests.streams.making import took

WIDTH = fusion.FEATURES_PER_SCORER * len(scorers.NAMES)
SITUATION = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
NUMBERS = {key_of(f"i{number}"): number for number in range(100)}


def served_list(*candidates: int, popular: tuple[int, ...] = (), size: int = LIST_LENGTH) -> ServedList:
    draw = np.random.default_rng(len(candidates))
    features = draw.normal(size=(len(candidates), WIDTH)).astype(np.float32)
    rows = np.array(candidates, np.int32)
    return ServedList(rows, features, SITUATION, rows[:size], np.array(popular, np.int32))


def judging(packed: bytes = b"", **lists: ServedList) -> Judge:
    served = ServedLists()
    for user, each in lists.items():
        served.remember(user, each)
    return Judge(judged_rows.unpack(packed), served, known=lambda key: Known(NUMBERS.get(key, -1), 0, 1.0))


def test_an_item_taken_is_judged_by_its_places_in_the_served_and_the_popular_list() -> None:
    judged = judging(ann=served_list(*range(20), popular=(7, 3)))
    judged.taken(took("i3"), 0)
    rates = verdicts.rates([judged.verdicts])["all"]
    assert rates["served"] == pytest.approx((1.0, rank.ndcg(3)))
    assert rates["popularity"] == pytest.approx((1.0, rank.ndcg(1)))
    judged.taken(took("i15"), 0)
    rates = verdicts.rates([judged.verdicts])["all"]
    assert rates["served"] == pytest.approx((0.5, rank.ndcg(3) / 2))


def test_an_item_outside_the_served_list_is_a_miss() -> None:
    judged = judging(ann=served_list(*range(20), size=3))
    judged.taken(took("i2"), 0)
    judged.taken(took("i3"), 0)
    assert verdicts.rates([judged.verdicts])["all"]["served"].hit_rate == 0.5


def test_each_single_scorer_ranks_the_candidates_and_ties_count_against_it() -> None:
    made = served_list(*range(20))
    first, second, third = (fusion.FEATURES_PER_SCORER * number for number in range(3))
    made.features[:, first] = -np.arange(20)
    made.features[:, second] = 0.0
    made.features[:, third] = np.where(np.arange(20) == 12, np.nan, np.arange(20) == 4)
    judged = judging(ann=made)
    judged.taken(took("i4"), 0)
    rates = verdicts.rates([judged.verdicts])["all"]
    assert rates[RANKINGS[2]] == pytest.approx((1.0, rank.ndcg(4)))
    assert rates[RANKINGS[3]] == (0.0, 0.0)
    assert rates[RANKINGS[4]] == pytest.approx((1.0, rank.ndcg(1)))


def test_an_unknown_item_is_a_miss_even_if_a_list_has_empty_places() -> None:
    judged = judging(ann=served_list(1, 2, popular=(5, -1, -1)))
    judged.taken(took("i1000"), 0)
    assert {tuple(rate) for rate in verdicts.rates([judged.verdicts])["all"].values()} == {(0.0, 0.0)}


def test_an_example_of_a_user_without_a_list_is_counted_but_not_judged() -> None:
    judged = judging()
    judged.taken(took("i1"), 0)
    assert (judged.fusion.examples, judged.verdicts.unjudged) == (1, 1)
    assert verdicts.rates([judged.verdicts]) == {}


def test_the_fusion_learns_from_what_was_served() -> None:
    made = served_list(*range(20))
    judged, alone = judging(ann=made), scorers.new_fusion()
    for number in range(3 * fusion.BATCH):
        judged.taken(took(f"i{number % 20}"), 0)
        alone.learn(made.features, SITUATION, number % 20, key_of(f"i{number % 20}"))
    assert judged.fusion.to_bytes() == alone.to_bytes()
    assert (judged.fusion.omega != scorers.new_fusion().omega).any()


def test_runs_can_end_anywhere() -> None:
    made = served_list(*range(20))
    whole, packed = judging(ann=made), b""
    for number in range(3 * BLOCK):
        example = took(f"i{number % 25}", received=number * 600_000)
        whole.taken(example, number % 30)
        part = judging(packed, ann=made)
        part.taken(example, number % 30)
        packed = part.kept.pack()
    assert packed == whole.kept.pack()


def test_weights_of_other_scorers_start_anew_and_the_count_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = judging(ann=served_list(*range(20)))
    for number in range(2 * fusion.BATCH):
        judged.taken(took(f"i{number % 20}"), 0)
    packed = judged.kept.pack()
    with monkeypatch.context() as patch:
        patch.setattr(scorers, "NAMES", tuple(reversed(scorers.NAMES)))
        kept = judged_rows.unpack(packed)
    assert (kept.fusion.omega == scorers.new_fusion().omega).all()
    assert kept.fusion.examples == 2 * fusion.BATCH
    assert verdicts.totals([kept.verdicts]) == verdicts.totals([judged.verdicts])


def test_an_example_moves_the_weights_by_the_trust_in_its_item() -> None:
    moved = []
    for trust in (1.0, 0.5, 0.0):
        judged = judging(ann=served_list(*range(20)))
        judged._known = lambda key, trust=trust: Known(NUMBERS[key], 0, trust)  # type: ignore[misc]
        judged.taken(took("i3"), 0)
        moved.append(judged.fusion._pending.copy())
    np.testing.assert_allclose(moved[1], moved[0] / 2)
    assert moved[0].any()
    assert not moved[2].any()
