"""Moving: which row gets what an account did, and how what rows hold moves when that changes.

Everything here happens in one partition, at the places of its log. What belongs to a row of another partition is sent
there, with the number of the move by which it goes. It may be overtaken by later moves on its way. So a row remembers
what has left it: what comes late follows, move by move, the way that it would have gone. Numbers rise along every way,
so that no way is a circle.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import asdict, replace

from afresh.state.records import Interaction, Move, Transfer
from afresh.state.rows import merging, users
from afresh.state.rows.users import Departure, UserRow

LEFT_LIMIT = 256
"""Number of departures that a row remembers, for what may still come to it."""

Send = Callable[[str, str, UserRow, int, int], None]
"""Sends what an account did to a row of another partition: its user, the account, what it did, the time of the move in
ms, and its number."""


class Holder(Struct, frozen=True, gc=False):
    """The user whose row gets something, and the number of the move by which it goes there; 0 if by none."""

    user: str
    number: int


def given_to(user: str, interaction: Interaction) -> Interaction:
    """Return an interaction as one of the row of a user, with its account if that is another."""
    if user == interaction.user:
        return interaction
    return replace(interaction, user=user, account=interaction.account or interaction.user)


class Moving:
    """Says which row gets what an account did, and obeys moves.

    Parameters
    ----------
    row
        Returns the row of a user, a new one if there is none; None if it belongs into another partition.
    send
        Sends what belongs to a row of another partition.
    changed
        Called with the user of each row that a move changes.
    """

    def __init__(
        self,
        row: Callable[[str], UserRow | None],
        send: Send,
        changed: Callable[[str], None],
    ) -> None:
        self._row = row
        self._send = send
        self._changed = changed

    def holder(self, account: str) -> Holder:
        """Return whose row gets what an account does now, as far as this partition knows."""
        row = self._row(account)
        if row is None or not row.to:
            return Holder(account, 0)
        return self.follow(row.to, account, row.number)

    def find(self, interaction: Interaction) -> Holder:
        """Return whose row gets an interaction, and the number of the move by which it goes there."""
        way = interaction.way
        # By no move at all: it stood in a partition that is not its user's.
        if way is None or not way.number:
            return self.holder(interaction.user)
        return self.follow(interaction.user, interaction.account, way.number)

    def follow(self, user: str, account: str, number: int) -> Holder:
        """Follow what an account did, from the row that it comes to, to the row that has it now.

        Parameters
        ----------
        user
            User whose row it comes to.
        account
            The account.
        number
            Number of the move by which it comes.
        """
        at = Holder(user, number)
        while (row := self._row(at.user)) and (left := row.departure(account, at.number)):
            at = Holder(left.to, left.number)
        return at

    def obey(self, move: Move) -> bool:
        """Obey a move, unless its row has obeyed it before; return whether it did."""
        row = self._row(move.row)
        if row is None or move.number <= row.number:
            return False
        row.number = move.number
        if move.name == "route":
            row.to = "" if move.to == move.row else move.to
            row.since = max(row.since, move.time)
        elif move.name == "split":
            self._remember(row, Departure(move.number, move.account, move.to))
            self._leave(row, move.row, move.account, Holder(move.to, move.number), move.time)
        else:
            self._merge(row, move)
        self._changed(move.row)
        return True

    def receive(self, transfer: Transfer) -> None:
        """Put what a transfer brings into the rows that get it now, or send it on."""
        part = users.unpack(transfer.row)
        self.arrive(transfer.to, transfer.account, part, transfer.time, transfer.way.number)

    def arrive(self, to: str, account: str, part: UserRow, time: int, number: int) -> None:
        """Put what accounts did into the rows that get it now, or send it on.

        Parameters
        ----------
        to
            User whose row it comes to.
        account, part
            The account, and a row with what it did; of a merged person, what all its accounts did.
        time, number
            Time of the move by which it comes, in ms, and its number.
        """
        for each in merging.accounts_of(part, account)[1:]:
            if self.follow(to, each, number) != self.follow(to, account, number):
                self._leave(part, account, each, Holder(to, number), time)
        at = self.follow(to, account, number)
        row = self._row(at.user)
        if row is None:
            self._send(at.user, account, part, time, at.number)
            return
        merging.merge(row, at.user, part, account)
        row.since = max(row.since, part.since, time)
        self._changed(at.user)

    @staticmethod
    def _remember(row: UserRow, left: Departure) -> None:
        row.left = [*row.left, left][-LEFT_LIMIT:]

    def _leave(self, row: UserRow, user: str, account: str, to: Holder, time: int) -> None:
        """Take what an account did out of a row.

        The lists of both are newer than the one that they had in common, whatever the clocks of brokers say.
        """
        part = merging.split(row, user, account)
        row.since = part.since = max(time, row.since + 1)
        self.arrive(to.user, account, part, time, to.number)

    def _merge(self, row: UserRow, move: Move) -> None:
        """Empty a row, and leave in it where everything went."""
        part = replace(row, domains=dict(row.domains), left=[])
        self._remember(row, Departure(move.number, "", move.to))
        kept = {
            "since": max(row.since, move.time),
            "to": move.to,
            "number": move.number,
            "left": row.left,
        }
        for name, value in (asdict(UserRow()) | kept).items():
            setattr(row, name, value)
        self.arrive(move.to, move.row, part, move.time, move.number)
