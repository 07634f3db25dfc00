from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.layout import HISTORY
from afresh.state.records import Interaction
from afresh.state.rows import details, users
from afresh.state.rows.merging import accounts_of, merge, split
from afresh.state.rows.users import RECENT_EVENTS, UserRow

OWN, OTHER = "web:ann", "app:7"


class Taken(NamedTuple):
    """An item of a history with its names."""

    item: int
    time: int
    account: str
    platform: str
    domain: str


acts = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.integers(0, 40),
        st.sampled_from(["view", "purchase", "dislike", "like"]),
        st.sampled_from(["web", "app", "tv"]),
        st.sampled_from(["films", "books"]),
    ),
    max_size=2 * HISTORY,
)
few = acts.map(lambda each: each[: HISTORY // 2])


def row_of(user: str, did: list[tuple[int, int, str, str, str]]) -> UserRow:
    """Fold what a user did, in the order of time."""
    row = UserRow()
    for number, (second, item, kind, platform, domain) in enumerate(sorted(did)):
        name = f"{user} {number}"
        interaction = Interaction(
            *(0, number, 10**12, name, kind, 1000 * second, user, f"i{item}", platform, domain)
        )
        users.fold(row, interaction, 0, number)
    return row


def taken(row: UserRow, own: str) -> list[Taken]:
    """Return the history of a row, with names in place of indices."""
    accounts, domains = (own, *row.accounts), tuple(row.domains)
    return [
        Taken(item, time, accounts[each["account"]], row.platforms[each["platform"]], domains[each["domain"]])
        for item, time, each in zip(
            users.history_of(row).tolist(),
            np.frombuffer(row.times, "<u4").tolist(),
            details.unpack(row.details),
            strict=True,
        )
    ]


def halves(row: UserRow) -> set[int]:
    return {*np.frombuffer(row.items, "<u4")[::2].tolist(), *np.frombuffer(row.seen, "<u4").tolist()}


@given(few, few)
def test_what_was_merged_and_fits_is_split_again_as_it_was(
    mine: list[tuple[int, int, str, str, str]], theirs: list[tuple[int, int, str, str, str]]
) -> None:
    row, part = row_of(OWN, mine), row_of(OTHER, theirs)
    before, other = taken(row, OWN), taken(part, OTHER)
    counts = Counter(row.domains) + Counter(part.domains)
    merge(row, OWN, part, OTHER)
    assert Counter(taken(row, OWN)) == Counter([*before, *other])
    assert Counter(row.domains) == counts
    assert (row.taken, accounts_of(row, OWN)) == (len(before) + len(other), (OWN, OTHER))
    row = users.unpack(users.pack(row))
    left = split(row, OWN, OTHER)
    assert (taken(left, OTHER), taken(row, OWN)) == (other, before)
    assert (left.taken, row.taken, row.accounts) == (len(other), len(before), ())
    assert (left.refused, left.bought) == (row.refused, row.bought)


@given(acts, acts)
def test_merging_loses_no_item_and_keeps_the_newest(
    mine: list[tuple[int, int, str, str, str]], theirs: list[tuple[int, int, str, str, str]]
) -> None:
    row, part = row_of(OWN, mine), row_of(OTHER, theirs)
    had = halves(row) | halves(part)
    times = sorted((each.time for each in [*taken(row, OWN), *taken(part, OTHER)]), reverse=True)
    refused = {row.refused[at : at + 4] for at in range(0, len(row.refused), 4)}
    merge(row, OWN, part, OTHER)
    assert halves(row) == had
    assert [each.time for each in taken(row, OWN)] == times[:HISTORY]
    assert len(row.events) <= 8 * RECENT_EVENTS
    assert all(each in row.refused for each in refused)


def test_at_the_same_time_the_items_of_the_row_itself_come_first() -> None:
    row, part = (
        row_of(OWN, [(1, 1, "view", "web", "films")]),
        row_of(OTHER, [(1, 2, "view", "app", "films")]),
    )
    merge(row, OWN, part, OTHER)
    assert [each.account for each in taken(row, OWN)] == [OWN, OTHER]


def test_an_event_that_either_row_knew_is_known_to_both_together() -> None:
    row = row_of(OWN, [(1, 1, "view", "web", "films")])
    merge(row, OWN, row_of(OTHER, [(1, 2, "view", "app", "films")]), OTHER)
    assert all(row.knows(users.packed_key(f"{user} 0")) for user in (OWN, OTHER))


def test_an_empty_row_brings_only_its_account() -> None:
    row = row_of(OWN, [(1, 1, "view", "web", "films")])
    before = taken(row, OWN)
    merge(row, OWN, UserRow(), OTHER)
    assert (taken(row, OWN), row.accounts) == (before, (OTHER,))


def test_accounts_of_accounts_come_along_and_one_that_left_leaves_a_hole() -> None:
    part = row_of(OTHER, [(1, 1, "view", "app", "films")])
    merge(part, OTHER, row_of("tv:1", [(2, 2, "view", "tv", "films")]), "tv:1")
    row = row_of(OWN, [(3, 3, "view", "web", "films")])
    merge(row, OWN, part, OTHER)
    assert [each.account for each in taken(row, OWN)] == [OWN, "tv:1", OTHER]
    split(row, OWN, OTHER)
    assert (row.accounts, accounts_of(row, OWN)) == (("", "tv:1"), (OWN, "tv:1"))
    assert [each.account for each in taken(row, OWN)] == [OWN, "tv:1"]


def test_accounts_that_leave_and_return_in_turn_need_no_new_places() -> None:
    row = row_of(OWN, [(3, 3, "view", "web", "films")])
    for _ in range(3):
        for account, kept in ((OTHER, "tv:1"), ("tv:1", OTHER)):
            merge(row, OWN, row_of(account, [(1, 1, "view", "app", "films")]), account)
            if kept in row.accounts:
                split(row, OWN, kept)
            assert [each.account for each in taken(row, OWN)] == [OWN, account]
    assert len(row.accounts) == 2


def test_an_account_that_a_row_does_not_have_takes_nothing_of_the_history() -> None:
    row = row_of(OWN, [(1, 1, "dislike", "web", "films"), (2, 2, "view", "web", "films")])
    before = taken(row, OWN)
    part = split(row, OWN, "tv:1")
    assert (taken(row, OWN), taken(part, "tv:1"), part.refused) == (before, [], row.refused)


def test_what_is_done_after_a_merge_names_its_account() -> None:
    row = row_of(OWN, [(1, 1, "view", "web", "films")])
    merge(row, OWN, UserRow(), OTHER)
    done = Interaction(0, 9, 10**12, "e", "view", 9000, OWN, "i9", "app", "films", account=OTHER)
    example = users.fold(row, done, 0, 9)
    assert example is not None
    assert (example.account, taken(row, OWN)[0].account) == (1, OTHER)
