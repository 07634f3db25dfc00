from __future__ import annotations

from typing import Any

import pytest

from afresh.deploy.evaluate import prequential
from afresh.deploy.evaluate.engine import EVENTS_PER_ITEM, Engine
from afresh.deploy.evaluate.log import Log, read_log
from afresh.deploy.evaluate.prequential import Ranking
from afresh.deploy.evaluate.trials import trials_of
from afresh.models import scorers
from afresh.models.metrics.evaluation import MISS
from afresh.state.catalogue.alone import AloneCatalogue
from afresh.streams.serving.policy import Policy
from afresh.streams.settings import Settings
from tests.deploy.evaluate.making import START_MS, catalogue, event, lines, shop

SETTINGS = Settings(partitions=3)


def log_of(events: list[dict[str, Any]], items: list[dict[str, Any]] | None = None) -> Log:
    return read_log(SETTINGS, lines(events), lines(items or []))


def evaluated(log: Log, refresh: int = 1, **options: Any) -> Ranking:
    engine = Engine(SETTINGS, 20, **options)
    (ranking,) = prequential.run(engine, log, trials_of(log, 0), {}, refresh, lambda _: None)
    return ranking


def test_a_list_does_not_depend_on_its_own_event_or_later_ones() -> None:
    events, other = shop(60), shop(60)
    for each in other[40:]:
        each["item"], each["domain"] = "i3", "films"
    whole, changed = evaluated(log_of(events, catalogue())), evaluated(log_of(other, catalogue()))
    assert whole.lists[:41] == changed.lists[:41]
    assert whole.scores[:41] == changed.scores[:41]
    assert whole.lists[41:] != changed.lists[41:]


def test_items_that_a_user_has_had_are_left_out_even_within_a_block() -> None:
    log = log_of(shop(120), catalogue())
    for refresh in (1, 50):
        had: dict[str, set[str]] = {}
        for interaction, items in zip(log.interactions, evaluated(log, refresh).lists, strict=True):
            mine = had.setdefault(interaction.user, set())
            assert not mine & set(items)
            mine.add(interaction.item)


def test_items_that_a_user_has_had_stay_in_lists_if_the_policy_says_so() -> None:
    events = [event(number, "ann", "i1") for number in range(8)]
    ranking = evaluated(log_of(events, catalogue()), policy=Policy({"*": "nothing"}))
    assert ranking.ranks[-1] == 0
    assert evaluated(log_of(events, catalogue())).ranks[-1] == MISS


def test_an_item_that_was_not_announced_is_a_miss_once_and_then_known() -> None:
    ranking = evaluated(log_of([event(1, "ann", "new"), event(2, "bob", "new")]))
    assert ranking.ranks.tolist() == [MISS, 0]
    assert ranking.lists == [[], ["new"]]


def test_an_item_announced_later_is_unknown_before() -> None:
    items: list[dict[str, Any]] = [
        {"id": "a", "domain": "films"},
        {"id": "b", "domain": "films", "time": START_MS + 120_000},
    ]
    events = [event(number, f"u{number}", "a") for number in range(4)]
    ranking = evaluated(log_of(events, items))
    assert [sorted(each) for each in ranking.lists] == [["a"], ["a"], ["a", "b"], ["a", "b"]]


def test_an_unavailable_item_is_in_no_list() -> None:
    items: list[dict[str, Any]] = [
        {"id": "a", "domain": "films", "available": False},
        {"id": "b", "domain": "films"},
    ]
    ranking = evaluated(log_of([event(1, "ann", "a"), event(2, "bob", "a")], items))
    assert ranking.lists == [["b"], ["b"]]
    assert ranking.ranks.tolist() == [MISS, MISS]


def test_items_and_weights_lag_within_a_block_and_users_do_not() -> None:
    # One domain only: a user's row holds the user's domains, and it is fresh even within a block.
    events = [each | {"domain": "films"} for each in shop(90)]
    log = log_of(events, [each | {"domain": "films"} for each in catalogue()])
    exact, lagging = evaluated(log, 1), evaluated(log, 30)
    assert exact.lists[0] == lagging.lists[0]
    assert exact.scores[1:30] != lagging.scores[1:30]
    # Before anything is learned, all items have the same score.
    assert {len(set(scores)) for scores in lagging.scores[:30]} == {1}


def test_the_fusion_learns_from_what_unknown_users_took() -> None:
    log = log_of([event(number, f"u{number}", f"i{number % 3}") for number in range(120)], catalogue())
    engine = Engine(SETTINGS, 20)
    prequential.run(engine, log, trials_of(log, 0), {}, 1, lambda _: None)
    (variant,) = engine.variants
    kept = variant.weighing.kept
    assert kept.verdicts.unjudged == 0
    assert (kept.fusion.omega != scorers.prior()).any()


@pytest.mark.parametrize("name", ["neighbours", "popular"])
def test_a_scorer_left_out_adds_nothing_to_scores(name: str) -> None:
    assert name in scorers.NAMES
    log = log_of(shop(40), catalogue())
    engine = Engine(SETTINGS, 20, without=[[name]])
    engine.announce([each.item for each in log.announcements], {})
    parts = [0.0]
    for interaction in log.interactions:
        ((made,),) = engine.take_in([interaction])
        parts += [item.parts.get(name, 0.0) for item in made.items]
    assert set(parts) == {0.0}
    assert evaluated(log).lists != evaluated(log, without=[[name]]).lists


def test_variants_run_together_serve_what_each_serves_alone() -> None:
    log = log_of(shop(120), catalogue())
    variants: list[list[str]] = [[], ["neighbours"], ["popular", "week"]]
    engine = Engine(SETTINGS, 20, without=variants)
    together = prequential.run(engine, log, trials_of(log, 0), {}, 7, lambda _: None)
    alone = [evaluated(log, 7, without=[each]) for each in variants]
    assert [each.lists for each in together] == [each.lists for each in alone]
    assert [each.scores for each in together] == [each.scores for each in alone]
    assert len({str(each.scores) for each in together}) == 3
    assert all(each.seconds > 0 for each in engine.variants)


def test_the_engine_derives_less_often_with_more_items(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    derived: list[int] = []
    derive = AloneCatalogue.derive

    def counted(catalogue: AloneCatalogue) -> None:
        derived.append(len(catalogue))
        derive(catalogue)

    monkeypatch.setattr(AloneCatalogue, "derive", counted)
    for items, times in ((EVENTS_PER_ITEM, 120), (3 * EVENTS_PER_ITEM, 40)):
        derived.clear()
        evaluated(log_of(shop(120, items=EVENTS_PER_ITEM), catalogue(items)))
        assert derived == [items] * times
