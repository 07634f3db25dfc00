from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from afresh.models import scorers
from afresh.models.arrays import Floats, Indices
from afresh.models.fusion.features import FEATURES_PER_SCORER
from afresh.models.fusion.weights import LEARNED_CANDIDATES, Weights
from afresh.models.lists import rank
from afresh.models.retrieval.candidates import RELATED_CANDIDATES
from afresh.models.scorers import neighbours
from afresh.state.catalogue.alone import AloneCatalogue
from afresh.state.judged.verdicts import LIST_LENGTH
from afresh.state.keys import key_of
from afresh.state.lists import OTHERS, UserList
from afresh.state.rows.behaviour import BehaviourRows
from afresh.state.rows.content import TEXT, Vector
from afresh.state.rows.users import UserRow, packed_key
from afresh.streams.serving.lister import NAMED_PARTS, Lister, Recipient
from afresh.streams.serving.policy import Policy
from afresh.streams.serving.served import ServedList
from tests.streams.making import catalogue_of, count, describe, user_row

ITEMS = [f"i{number}" for number in range(30)]
PRIORS = Weights(scorers.prior())


def recipient(row: UserRow, user: str = "web:ann") -> Recipient:
    return Recipient(user, 0, row, 5)


def made(catalogue: AloneCatalogue, *rows: UserRow, size: int = 5) -> list[tuple[UserList, ServedList]]:
    catalogue.derive()
    lister = Lister(catalogue, size, now=lambda: 0.5)
    return lister.make([recipient(row) for row in rows], PRIORS)


def ids(made_list: UserList) -> list[str]:
    return [item.id for item in made_list.items]


@given(st.data())
@limits(deadline=None, max_examples=40)
def test_items_that_are_seen_or_not_available_are_never_listed(data: st.DataObject) -> None:
    items = st.lists(st.sampled_from(ITEMS), unique=True, max_size=12)
    catalogue = catalogue_of(*ITEMS)
    hidden, deleted = data.draw(items, "hidden"), data.draw(items, "deleted")
    describe(catalogue, *hidden, available=False)
    catalogue.apply_content({item.encode(): None for item in deleted})
    taken: Sequence[list[str]] = data.draw(st.lists(items, min_size=1, max_size=3), "taken")
    size = data.draw(st.integers(1, 40), "size")
    for items_taken, (made_list, served) in zip(
        taken, made(catalogue, *(user_row(*each) for each in taken), size=size), strict=True
    ):
        left = set(ITEMS) - set(hidden) - set(deleted) - set(items_taken)
        assert set(ids(made_list)) <= left
        assert len(made_list.items) == len(set(ids(made_list))) == min(size, len(left))
        assert {catalogue.ids[row] for row in served.candidates} == left
        assert {catalogue.ids[row] for row in served.popular if row >= 0} <= left


def test_an_empty_catalogue_gives_an_empty_list() -> None:
    ((made_list, served),) = made(AloneCatalogue(), user_row("unknown"))
    assert made_list.items == []
    assert (made_list.user, made_list.revision, made_list.last_event) == ("web:ann", 1, "e1")
    assert len(served.candidates) == len(served.logarithms) == len(served.popular) == 0


def test_a_user_who_has_seen_every_item_gets_an_empty_list() -> None:
    ((made_list, served),) = made(catalogue_of("a", "b"), user_row("a", "b"))
    assert made_list.items == []
    assert served.features().shape == (0, FEATURES_PER_SCORER * len(scorers.NAMES))


def test_items_known_only_from_histories_are_not_listed() -> None:
    catalogue = AloneCatalogue()
    describe(catalogue, "a", "b")
    count(catalogue, {"a": 1.0}, {"a": {"nameless": 9.0, "b": 1.0}})
    ((made_list, _),) = made(catalogue, user_row("a"))
    assert ids(made_list) == ["b"]


def test_a_list_says_which_row_it_was_made_from_and_when() -> None:
    row = user_row("i1", revision=7)
    ((made_list, _),) = made(catalogue_of(*ITEMS), row)
    assert (made_list.since, made_list.revision, made_list.last_event) == (5, 7, "e7")
    assert made_list.generated_at == "1970-01-01T00:00:00.500000Z"


def test_scores_are_best_first_and_the_sums_of_their_parts() -> None:
    ((made_list, _),) = made(catalogue_of(*ITEMS), user_row("i1", "i2"), size=20)
    scores = [item.score for item in made_list.items]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 1
    for item in made_list.items:
        *named, others = item.parts
        assert (len(named), others) == (NAMED_PARTS, OTHERS)
        assert set(named) < set(scorers.NAMES)
        assert sum(item.parts.values()) == pytest.approx(item.score, abs=1e-9)


def test_a_list_takes_little_room_in_redis() -> None:
    items = [f"item-{number:08}" for number in range(40)]
    ((made_list, _),) = made(catalogue_of(*items), user_row(*items[:9]), size=20)
    assert len(made_list.items) == 20
    assert len(msgspec.json.encode(made_list)) <= 3000


def test_ties_are_ordered_by_key_whatever_the_order_of_items() -> None:
    for order in (ITEMS, ITEMS[::-1]):
        catalogue = AloneCatalogue()
        describe(catalogue, *order)
        ((made_list, _),) = made(catalogue, user_row())
        assert ids(made_list) == sorted(ITEMS, key=key_of)[:5]
        assert {item.score for item in made_list.items} == {made_list.items[0].score}


def test_items_taken_come_again_where_repeats_are_allowed() -> None:
    catalogue = catalogue_of(*ITEMS)
    catalogue.derive()
    lister = Lister(catalogue, 5, policy=Policy(leave_out={"*": "nothing"}))
    row = user_row("i7", "i20")
    row.refuse(packed_key("i0"))
    ((made_list, served),) = lister.make([recipient(row)], PRIORS)
    listed = {catalogue.ids[item] for item in served.candidates}
    assert {"i7", "i20"} <= listed
    assert "i0" not in listed
    assert "i7" in ids(made_list)


def listed_by(catalogue: AloneCatalogue, policy: Policy, row: UserRow) -> tuple[UserList, ServedList]:
    ((made_list, served),) = Lister(catalogue, 5, policy=policy).make([recipient(row)], PRIORS)
    assert [catalogue.ids[each] for each in served.listed] == ids(made_list)
    return made_list, served


def test_items_are_left_out_by_the_rule_of_their_domain() -> None:
    catalogue = catalogue_of(*ITEMS)
    describe(catalogue, *ITEMS[10:20], domain="groceries")
    describe(catalogue, *ITEMS[20:], domain="books")
    catalogue.derive()
    row = user_row("i1", "i11", "i21", "i2", "i12", "i22")
    for item in ("i2", "i12", "i22"):
        row.bought += packed_key(item)[:4]
    policy = Policy(leave_out={"groceries": "nothing", "books": "bought"})
    _, served = listed_by(catalogue, policy, row)
    allowed = {catalogue.ids[each] for each in served.candidates}
    assert set(ITEMS) - allowed == {"i1", "i2", "i22"}


def test_diversity_changes_the_list_but_not_the_candidates_learned_from() -> None:
    catalogue = catalogue_of(*ITEMS)
    for number, item in enumerate(ITEMS):
        text = np.eye(3, dtype="<f2")[number % 3].tobytes()
        describe(catalogue, item, vectors=[Vector(TEXT, "e", "1", 0, text)])
    catalogue.derive()
    plain, before = listed_by(catalogue, Policy(), user_row("i1", "i2"))
    diverse, after = listed_by(catalogue, Policy(diversity=0.9), user_row("i1", "i2"))
    assert ids(diverse)[0] == ids(plain)[0]
    assert (
        len({int(item[1:]) % 3 for item in ids(diverse)[:3]})
        == 3
        > len({int(item[1:]) % 3 for item in ids(plain)[:3]})
    )
    assert after.candidates.tolist() == before.candidates.tolist()
    assert (after.features() == before.features()).all()


def test_new_items_have_propensities_and_are_drawn_anew_with_each_event() -> None:
    catalogue, policy = catalogue_of(*ITEMS), Policy(exploration=0.5)
    made_list, _ = listed_by(catalogue, policy, user_row("i1"))
    assert [item.propensity is not None for item in made_list.items] == [True] * 5
    assert all(0 < (item.propensity or 0) <= 1 for item in made_list.items)
    assert listed_by(catalogue, policy, user_row("i1"))[0].items == made_list.items
    lists = {tuple(ids(listed_by(catalogue, policy, user_row("i1", revision=n))[0])) for n in range(10)}
    assert len(lists) > 5
    plain, _ = listed_by(catalogue, Policy(), user_row("i1"))
    assert b"propensity" not in msgspec.json.encode(plain)


def test_exploring_new_items_does_not_change_the_scores_of_candidates() -> None:
    catalogue = catalogue_of(*(f"i{number}" for number in range(2 * RELATED_CANDIDATES)))
    catalogue.derive()
    row = user_row("i1", "i2")
    plain, before = listed_by(catalogue, Policy(), row)
    made_list, after = listed_by(catalogue, Policy(exploration=0.5), row)
    assert after.candidates.tolist() == before.candidates.tolist()
    assert (after.features() == before.features()).all()
    ranked = {catalogue.ids[each] for each in scored_indices(catalogue, row)}
    explored = set(ids(made_list)) - ranked
    assert explored
    kept = {item.id: item.score for item in plain.items}
    assert all(item.score == kept.get(item.id, item.score) for item in made_list.items)
    best, chance = ids(plain)[0], 0.5 / (2 * RELATED_CANDIDATES - 2)
    for item in made_list.items[:1]:
        assert item.propensity == pytest.approx((item.id == best) * 0.5 + chance)
    assert "i1" not in ids(made_list)


def scored_indices(catalogue: AloneCatalogue, row: UserRow) -> list[int]:
    rows: list[int] = Lister(catalogue, 5).score(row, PRIORS).candidates.tolist()
    return rows


def test_a_list_does_not_depend_on_the_other_users_in_the_batch() -> None:
    catalogue, rows = catalogue_of(*ITEMS), [user_row(f"i{n}", f"i{n + 3}") for n in range(6)]
    together = [ids(each) for each, _ in made(catalogue, *rows)]
    assert together == [ids(made(catalogue, row)[0][0]) for row in rows]
    assert len(set(map(tuple, together))) > 1


def test_a_list_follows_the_weights_and_names_their_version() -> None:
    catalogue = catalogue_of(*ITEMS)
    omega = np.zeros_like(PRIORS.omega)
    omega[0, 2 * scorers.NAMES.index("popular")] = 1.0
    catalogue.derive()
    lister = Lister(catalogue, 5)
    for learned, expected in ((Weights(omega, 3), ITEMS[:5]), (Weights(-omega, 8), ITEMS[:-6:-1])):
        ((listed, served),) = lister.make([recipient(user_row("i9"))], learned)
        assert ids(listed) == expected
        ((popular, _),) = lister.popular(learned)
        assert listed.weights == served.made_with == popular.weights == learned.version


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_scorer_that_gives_no_scores_counts_as_0_and_is_named_once(
    bad: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def score(asked: object, chosen: Indices) -> Floats:
        scores = np.ones((4, len(chosen)), np.float32)
        scores[2, 1:] = bad
        return scores

    broken = replace(neighbours.SCORER, score=score, fill=None)
    monkeypatch.setattr(scorers, "SCORERS", (broken, *scorers.SCORERS[1:]))
    made_lists = made(catalogue_of(*ITEMS), user_row("i1"), user_row("i2"))
    assert all(served.broken for _, served in made_lists)
    assert all(np.isfinite(served.features()).all() for _, served in made_lists)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert scorers.NAMES[2] in caplog.text


def test_the_served_list_holds_what_the_fusion_learns_from() -> None:
    catalogue, learned = catalogue_of(*ITEMS), PRIORS
    ((made_list, served),) = made(catalogue, user_row("i1"))
    assert [catalogue.ids[row] for row in served.candidates[:5]] == ids(made_list)
    assert served.listed.tolist() == served.candidates[:5].tolist()
    assert len(served.candidates) == len(ITEMS) - 1
    scores = served.features() @ learned.in_contexts(served.situation[None])[0]
    assert (np.diff(scores) <= 1e-2).all()
    assert len(served.popular) == LIST_LENGTH
    assert catalogue.ids[served.popular[0]] == "i0"


def test_there_are_enough_candidates_for_the_fusion_and_for_the_list() -> None:
    many = [f"j{number}" for number in range(LEARNED_CANDIDATES + 50)]
    catalogue = catalogue_of(*many)
    ((_, served),) = made(catalogue, user_row("j0"))
    assert len(served.candidates) == LEARNED_CANDIDATES
    ((made_list, served),) = made(catalogue, user_row("j0"), size=LEARNED_CANDIDATES + 20)
    assert len(served.candidates) == len(made_list.items) == LEARNED_CANDIDATES + 20


def test_a_user_with_a_history_longer_than_lists_use_is_served() -> None:
    row = user_row(*ITEMS[:25])
    ((made_list, _),) = made(catalogue_of(*ITEMS), row)
    assert set(ids(made_list)) == set(ITEMS[25:])


def test_popular_lists_are_by_domain_without_items_that_are_not_available() -> None:
    catalogue = catalogue_of(*ITEMS)
    describe(catalogue, "i1", "i3", domain="books")
    describe(catalogue, "i0", available=False)
    learned = PRIORS
    lists = {each.domain: each for each, _ in Lister(catalogue, 3, now=lambda: 0.5).popular(learned)}
    assert {name: [item.id for item in each.items] for name, each in lists.items()} == {
        "films": ["i2", "i4", "i5"],
        "books": ["i1", "i3"],
    }
    assert lists["books"].generated_at == "1970-01-01T00:00:00.500000Z"


def test_nothing_is_popular_in_an_empty_catalogue() -> None:
    assert Lister(AloneCatalogue(), 3).popular(PRIORS) == []
    catalogue = catalogue_of("i1")
    describe(catalogue, "i1", available=False)
    ((gone, served),) = Lister(catalogue, 3).popular(PRIORS)
    assert gone.items == []
    assert not len(served.candidates)


def test_popular_ties_are_ordered_by_key() -> None:
    catalogue, names = AloneCatalogue(), sorted((f"j{number}" for number in range(300)), key=key_of)
    describe(catalogue, *names)
    count(catalogue, dict.fromkeys(names[100:], 1.0))
    catalogue.derive()
    ((popular, _),) = Lister(catalogue, 250).popular(PRIORS)
    assert [item.id for item in popular.items] == names[100:] + names[:50]


def test_a_popular_list_is_the_list_of_a_user_of_whom_nothing_is_known() -> None:
    catalogue, turned = catalogue_of(*ITEMS), Weights(-PRIORS.omega)
    catalogue.derive()
    lister = Lister(catalogue, 7)
    for learned in (PRIORS, turned):
        ((nobodys, _),) = lister.make([recipient(UserRow())], learned)
        ((popular, _),) = lister.popular(learned)
        assert [item.id for item in popular.items] == ids(nobodys)
        assert [item.score for item in popular.items] == pytest.approx(
            [i.score for i in nobodys.items], abs=1e-3
        )


def popular_by(takes: dict[str, int], learned: Weights) -> list[str]:
    """Return the popular list of a catalogue whose items were taken this often."""
    catalogue, rows = AloneCatalogue(), BehaviourRows({})
    describe(catalogue, *takes)
    for item, times in takes.items():
        row = rows.array[rows.number_of(item.encode())]
        row["counts"][:], row["examples"] = times, times
    catalogue.apply_behaviour({item.encode(): rows.packed(rows.number[item.encode()]) for item in takes})
    catalogue.derive()
    ((popular, _),) = Lister(catalogue, 30).popular(learned)
    scores = [item.score for item in popular.items]
    assert scores == sorted(scores, reverse=True)
    return [item.id for item in popular.items]


@pytest.mark.parametrize(("once", "first"), [(0, "often"), (4, "once"), (12, "never")])
def test_untaken_items_rise_only_before_items_taken_no_more_often_than_untaken_ones_would_be(
    once: int, first: str
) -> None:
    turned = Weights(-PRIORS.omega)
    untaken = {f"never {number}": 0 for number in range(10)}
    taken = {f"once {number}": 1 for number in range(once)} or {f"often {n}": 40 + n for n in range(8)}
    assert {item.split()[0] for item in popular_by(untaken | taken, turned)[: len(taken)][:8]} == {first}


def test_the_popularity_list_of_the_metrics_has_at_most_ten_items() -> None:
    ((_, served),) = made(catalogue_of(*ITEMS), user_row("i0"))
    expected = rank.best(np.array([float(30 - n) if n else np.nan for n in range(30)]), LIST_LENGTH)
    assert served.popular.tolist() == expected.tolist()
