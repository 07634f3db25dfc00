from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.state import people as module
from afresh.state.people import LEAST_CONFIDENCE, MOST_ACCOUNTS, MOST_LINKS, Pair, People, Renamed, Tie, moves

NAMES = [f"web:{letter}" for letter in "abcdefghij"]
LOGIN = Tie("login", 1.0, 5)

pairs = st.sampled_from([Pair(*each) for each in combinations(NAMES, 2)])
told_pairs = st.builds(
    lambda one, other: Pair(one, other, told=True), st.sampled_from(NAMES), st.sampled_from(["p1", "p2"])
)
ties = st.builds(
    Tie,
    st.sampled_from(["login", "login", "device", "household"]),
    st.sampled_from([0.5, LEAST_CONFIDENCE, 1.0]),
    st.integers(0, 3),
)
changes = st.lists(
    st.tuples(pairs, st.none() | ties) | st.tuples(told_pairs, st.none() | st.just(Tie("told", 1.0, 0))),
    max_size=30,
)


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a few accounts reach."""
    monkeypatch.setattr(module, "MOST_ACCOUNTS", 5)
    monkeypatch.setattr(module, "MOST_LINKS", {"login": 3, "device": 2})


def slowly(standing: dict[Pair, Tie]) -> dict[str, str]:
    """Return the canonical user of each account, recomputed from all links at once."""
    degrees: defaultdict[tuple[str, str], int] = defaultdict(int)
    for pair, tie in standing.items():
        for end in pair[:2]:
            degrees[end, tie.sign] += 1
    counting = {
        pair: tie
        for pair, tie in standing.items()
        if tie.kind != "household"
        and (tie.kind != "device" or tie.confidence >= LEAST_CONFIDENCE)
        and all(degrees[end, tie.sign] <= module.MOST_LINKS[tie.sign] for end in pair[:2])
    }
    groups: dict[str, set[str]] = {}
    for pair in standing:
        for end in pair[:2]:
            groups.setdefault(end, {end})
    for one, other, _ in counting:
        whole = groups[one] | groups[other]
        for each in whole:
            groups[each] = whole
    canonical = {}
    for account, group in groups.items():
        inside = {pair: tie for pair, tie in counting.items() if pair.one in group}
        if len(group) == 1 or len(group) > module.MOST_ACCOUNTS:
            canonical[account] = account
        elif names := [pair.other for pair in inside if pair.told]:
            canonical[account] = min(names)
        else:
            canonical[account] = min((tie.time, pair.one) for pair, tie in inside.items())[1]
    return canonical


@given(changes)
def test_whoever_is_one_person_follows_from_the_standing_links_alone(
    sent: list[tuple[Pair, Tie | None]],
) -> None:
    people, standing, told = People(), dict[Pair, Tie](), dict[str, str]()
    for pair, tie in sent:
        renamed = people.set(pair, tie)
        before = slowly(standing)
        standing.pop(pair, None)
        if tie is not None:
            standing[pair] = tie
        after = slowly(standing)
        due = {
            each: (before.get(each, each), after.get(each, each))
            for each in {*before, *after}
            if before.get(each, each) != after.get(each, each)
        }
        assert {each.account: (each.before, each.after) for each in renamed} == due
        told |= {each.account: each.after for each in renamed}
    assert {each: people.person(each).canonical for each in slowly(standing)} == slowly(standing)
    assert sum(people.kinds.values()) == len(standing)


@given(changes)
def test_people_hubs_and_accounts_apart_are_counted_as_links_come_and_go(
    sent: list[tuple[Pair, Tie | None]],
) -> None:
    people, put = People(), People()
    for pair, tie in sent:
        people.set(pair, tie)
        put.put(pair, tie)
    persons = set(put.count_people())
    assert persons == {people.person(each) for each in people.linked()}
    assert (
        +people.sizes.people
        == put.sizes.people
        == Counter(len(each.accounts) for each in persons if len(each.accounts) > 1)
    )
    assert people.sizes.largest == max(
        (len(each.accounts) for each in persons if len(each.accounts) > 1), default=0
    )
    assert people.sizes.apart == put.sizes.apart == sum(each.too_many for each in persons)
    hubs = {(each, sign) for each in people.linked() for sign in MOST_LINKS if people.is_hub(each, sign)}
    assert people.hubs == put.hubs == len(hubs)


@given(changes)
def test_moves_bring_everything_to_the_canonical_user_and_leave_no_row_that_sends_it_back(
    sent: list[tuple[Pair, Tie | None]],
) -> None:
    people, number = People(), 0
    held: dict[str, set[str]] = {name: {name} for name in (*NAMES, "p1", "p2")}
    to = {name: name for name in held}
    for pair, tie in sent:
        for move in moves(people.set(pair, tie), 7, number):
            assert move.number == number + 1
            number = move.number
            if move.name == "route":
                to[move.row] = move.to
                continue
            gone = set(held[move.row]) if move.name == "merge" else {move.account}
            assert gone <= held[move.row]
            held[move.row] -= gone
            held[move.to] |= gone
            if move.name == "merge":
                to[move.row] = move.to
            assert to[move.to] == move.to, "what is moved stays where it goes"
        for name in held:
            canonical = people.person(name).canonical
            assert name in held[canonical]
            assert to[name] == canonical


def test_of_a_person_the_account_that_was_linked_first_is_canonical() -> None:
    people = People()
    people.set(Pair("web:b", "web:c"), Tie("login", 1.0, 4))
    assert people.set(Pair("web:a", "web:c"), Tie("login", 1.0, 9)) == [Renamed("web:a", "web:a", "web:b")]
    assert people.person("web:c").accounts == ("web:a", "web:b", "web:c")


@pytest.mark.parametrize(
    ("tie", "counts"),
    [
        (Tie("login", 0.0, 1), True),
        (Tie("device", 0.9, 1), True),
        (Tie("device", 0.89, 1), False),
        (Tie("household", 1.0, 1), False),
    ],
)
def test_logins_and_sure_devices_make_one_person_and_households_do_not(tie: Tie, counts: bool) -> None:
    people = People()
    people.set(Pair("web:a", "web:b"), tie)
    assert people.counts(Pair("web:a", "web:b")) == counts
    assert (people.person("web:b").canonical == "web:a") == counts


def test_a_hub_joins_nobody_and_does_so_again_once_it_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ACCOUNTS", MOST_ACCOUNTS)
    monkeypatch.setattr(module, "MOST_LINKS", MOST_LINKS)
    people = People()
    device = Tie("device", 1.0, 1)
    for number in range(8):
        people.set(Pair("tv:shop", f"web:{number}"), device)
    assert len(people.person("tv:shop").accounts) == 9
    assert len(people.set(Pair("tv:shop", "web:8"), device)) == 8
    assert people.is_hub("tv:shop", "device")
    assert people.person("web:0").accounts == ("web:0",)
    assert len(people.set(Pair("tv:shop", "web:0"), None)) == 8
    assert "web:0" not in people.person("tv:shop").accounts


def test_a_hub_with_ten_thousand_accounts_concerns_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    person = People.person

    def counted(self: People, account: str) -> module.Person:
        looked_at.append(account)
        return person(self, account)

    monkeypatch.setattr(People, "person", counted)
    people = People()
    for number in range(10_000):
        people.set(Pair("tv:shop", f"web:{number:05}"), Tie("device", 1.0, 1))
    assert len(looked_at) < 100_000
    looked_at.clear()
    assert people.set(Pair("tv:shop", "web:00007"), None) == []
    assert len(looked_at) < 10


def test_links_that_join_too_many_say_nothing_of_any() -> None:
    people = People()
    for one, other in pairwise(NAMES[:6]):
        people.set(Pair(one, other), LOGIN)
    assert people.person("web:a") == module.Person("web:a", ("web:a",), too_many=True)
    assert len(people.set(Pair("web:e", "web:f"), None)) == 4
    assert people.person("web:e").accounts == ("web:a", "web:b", "web:c", "web:d", "web:e")


def test_links_of_an_account_are_told_with_those_that_do_not_count() -> None:
    people = People()
    people.set(Pair("web:a", "web:b"), LOGIN)
    people.set(Pair("tv:1", "web:a"), Tie("household", 0.5, 2))
    assert people.links_of("web:a") == [
        (Pair("tv:1", "web:a"), Tie("household", 0.5, 2)),
        (Pair("web:a", "web:b"), LOGIN),
    ]
