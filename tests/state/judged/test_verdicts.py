import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.arrays import Integers
from afresh.models.fusion import drift
from afresh.models.lists import rank
from afresh.state.judged.verdicts import (
    BLOCK,
    KEPT,
    LIST_LENGTH,
    NAMED,
    RANKINGS,
    Rate,
    Verdicts,
    VerdictsRow,
)

MISS = LIST_LENGTH


def ranks(served: int, popular: int = MISS, others: int = MISS) -> Integers:
    return np.array([served, popular] + [others] * (len(RANKINGS) - 2))


def copy(of: Verdicts) -> Verdicts:
    return Verdicts(of.row())


def add(to: Verdicts, each: Integers, took: int = 0, taken: int = 0, domain: str = "films") -> None:
    to.count_example(each, to.slices_of(took, taken, domain, "web"))


@given(st.lists(st.lists(st.integers(0, 30), min_size=2, max_size=2), max_size=40))
def test_rates_are_means_of_hits_and_gains(drawn: list[list[int]]) -> None:
    judged = Verdicts()
    for served, popular in drawn:
        add(judged, ranks(served, popular))
    found = judged.rates()
    assert set(found) == ({"all", "user:0", "item:0", "domain:films", "platform:web"} if drawn else set())
    for by_ranking in found.values():
        for place, name in enumerate(("served", "popularity")):
            hits = np.mean([rank.hit_rate(each[place]) for each in drawn])
            gains = np.mean([rank.ndcg(each[place]) for each in drawn])
            assert by_ranking[name] == pytest.approx((hits, gains))
        assert by_ranking[RANKINGS[2]] == (0.0, 0.0)


@pytest.mark.parametrize(
    ("took", "taken", "expected"),
    [
        (0, 0, ["user:0", "item:0"]),
        (1, 1, ["user:1-4", "item:1-5"]),
        (4, 5, ["user:1-4", "item:1-5"]),
        (5, 6, ["user:5-19", "item:6-20"]),
        (19, 20, ["user:5-19", "item:6-20"]),
        (20, 21, ["user:20+", "item:21+"]),
    ],
)
def test_an_example_is_in_one_slice_of_users_and_one_of_items(
    took: int, taken: int, expected: list[str]
) -> None:
    judged = Verdicts()
    add(judged, ranks(0), took, taken)
    assert set(judged.rates()) == {"all", "domain:films", "platform:web", *expected}


@given(st.lists(st.sampled_from([f"d{number}" for number in range(NAMED + 5)] + ["other"]), max_size=60))
def test_examples_of_all_domains_add_up_and_their_names_are_bounded(domains: list[str]) -> None:
    judged = Verdicts()
    for domain in domains:
        add(judged, ranks(0), domain=domain)
    counts = {name: count for name, (count, _) in judged.totals().items()}
    named = {name: count for name, count in counts.items() if name.startswith("domain:")}
    assert sum(named.values()) == counts["all"] == len(domains)
    assert len(named) <= NAMED + 1
    for kind in ("user:", "item:", "platform:"):
        assert sum(count for name, count in counts.items() if name.startswith(kind)) == len(domains)


@given(st.lists(st.tuples(st.integers(0, 15), st.sampled_from(["films", "books"])), max_size=120))
def test_packing_and_unpacking_anywhere_changes_nothing(drawn: list[tuple[int, str]]) -> None:
    whole, cut = Verdicts(), Verdicts()
    for number, (place, domain) in enumerate(drawn, start=1):
        for each in (whole, cut):
            add(each, ranks(place), domain=domain)
            if number % BLOCK == 0:
                each.end_block()
        cut = copy(cut)
    assert cut.row() == whole.row()


def test_rates_fade_and_totals_do_not() -> None:
    judged = Verdicts()
    add(judged, ranks(0))
    judged.end_block()
    add(judged, ranks(MISS))
    judged.end_block()
    assert judged.hit_rate() == pytest.approx(KEPT / (KEPT + 1))
    assert judged.totals()["all"] == (2, 0)


def test_drift_is_counted_in_the_slices_where_it_happens() -> None:
    judged, found = Verdicts(), []
    for block in range(100):
        for number in range(BLOCK):
            new_user = number % 2 == 0
            hit = number % 4 < 2 and (new_user or block < 50)
            add(judged, ranks(0 if hit else MISS), took=0 if new_user else 1)
        found += judged.end_block()
    assert "user:1-4" in found
    assert "user:0" not in found
    drifts = {name: count for name, (_, count) in judged.totals().items() if count}
    assert drifts == {name: found.count(name) for name in set(found)}


def test_merged_verdicts_add_up() -> None:
    first, second = Verdicts(), Verdicts()
    add(first, ranks(0))
    for _ in range(3):
        add(second, ranks(MISS, 1), domain="books")
    second.unjudged = 2
    first.merge(second)
    found = first.rates()
    assert found["all"]["served"] == Rate(0.25, 0.25)
    assert found["all"]["popularity"].hit_rate == 0.75
    assert found["domain:books"]["served"] == Rate(0.0, 0.0)
    assert first.totals()["all"] == (4, 0)
    assert first.unjudged == 2


def test_rates_stay_with_the_names_of_their_rankings_and_one_that_was_not_judged_begins_with_no_hits() -> (
    None
):
    judged = Verdicts()
    add(judged, ranks(0, others=3))
    row = judged.row()
    row.rankings = ["popularity", "served", "another", *RANKINGS[3:]]
    changed, before = Verdicts(row), judged.rates()["all"]
    rates = changed.rates()["all"]
    assert rates["popularity"] == before["served"]
    assert rates["served"] == before["popularity"]
    assert rates[RANKINGS[2]] == (0, 0)
    assert rates[RANKINGS[3]] == before[RANKINGS[3]] > (0, 0)
    assert changed.totals()["all"] == (1, 0)


def test_new_verdicts_have_judged_nothing() -> None:
    judged = Verdicts(VerdictsRow())
    assert judged.rates() == {}
    assert judged.hit_rate() == 0.0
    assert judged.tests.shape == (len(judged.slices), drift.WIDTH)
