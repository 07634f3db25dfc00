"""Links in an evaluation: rows of users merge and split as links become known, as in a deployment of one partition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from afresh.state.people import People, moves
from afresh.state.records import Interaction
from afresh.state.rows.moving import Moving, given_to
from afresh.state.rows.users import UserRow
from afresh.streams.links import LinkTold


@dataclass(frozen=True)
class KnownLink:
    """A link, and the time from which it is known, in ms."""

    time: int
    told: LinkTold


class LinkedUsers:
    """Rows of users that obey links.

    Attributes
    ----------
    rows
        The rows, by canonical user. The row of an account that is no canonical user any more says where its own went.
    """

    def __init__(self) -> None:
        self.rows: defaultdict[str, UserRow] = defaultdict(UserRow)
        self._people = People()
        self._number = 0
        self._moving = Moving(self._row, _sent_nowhere, lambda _: None)

    def _row(self, user: str) -> UserRow:
        return self.rows[user]

    def link(self, links: Iterable[KnownLink]) -> None:
        """Obey links that become known."""
        for each in links:
            assert each.told.pair is not None, each
            renamed = self._people.set(each.told.pair, each.told.tie)
            for move in moves(renamed, each.time, self._number):
                self._moving.obey(move)
                self._number = move.number

    def given(self, interaction: Interaction) -> Interaction:
        """Return an interaction as one of the canonical user."""
        return given_to(self._moving.find(interaction).user, interaction)


def _sent_nowhere(*what: object) -> None:
    """Refuse to send: all rows are in one partition, so that nothing leaves it."""
    raise AssertionError(what)


def canonical_users(links: Sequence[KnownLink]) -> Callable[[str], str]:
    """Return a function that gives the canonical user of an account by the links that stand at the end."""
    people = People()
    for each in links:
        assert each.told.pair is not None, each
        people.put(each.told.pair, each.told.tie)
    return lambda account: people.person(account).canonical
