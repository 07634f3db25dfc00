"""Folds the interactions of a partition into users' rows once more, and notes the examples that follow."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from afresh.deploy.ledger.comparing import UNREADABLE
from afresh.deploy.ledger.events import OF_0_1_0, Account, Place, digest, told
from afresh.deploy.ledger.reading import PARTITION_ROW, ReadRecord, Rows
from afresh.deploy.ledger.report import Report
from afresh.deploy.ledger.sent import SentOnwards
from afresh.state.records import TRANSFER, Example, Interaction, Move, Transfer
from afresh.state.rows import users
from afresh.state.rows.moving import Moving, given_to
from afresh.state.rows.users import RECENT_EVENTS, USER_ROW_VERSION, UserRow
from afresh.state.store.marks import UNKNOWN
from afresh.streams.kafka.sender import partition_of
from afresh.streams.messages import Command, encode

Told = Interaction | Command | Move | Transfer


class ExampleDigest(NamedTuple):
    """What an example holds: its version, a digest of all of it, and one of the fields that all versions have."""

    version: int
    whole: int
    shared: int

    @classmethod
    def of(cls, example: Example, packed: bytes) -> ExampleDigest:
        """Digest an example and its bytes."""
        return cls(example.version, digest(packed), digest(encode(_shared(example))))

    def agrees(self, other: ExampleDigest, partly: bool = False) -> bool:
        """Tell whether two examples are equal; ``partly``, or of two versions, in what the versions share."""
        partly = partly or self.version != other.version
        return self.whole == other.whole or (partly and self.shared == other.shared)


def _shared(example: Example) -> Example:
    """Return an example as 0.1.0 made it, without the history: its order was that of arrival."""
    return Example(
        example.source,
        example.offset,
        example.item,
        example.domain,
        example.time,
        b"",
        b"",
        example.taken,
    )


class DueExample(NamedTuple):
    """An example that must be there, its user and its item.

    ``partly`` says that the user's row was begun by an earlier version, so that details of its history are not known.
    """

    digest: ExampleDigest
    user: str
    item: str
    partly: bool


@dataclass
class RecomputedUsers:
    """Users' rows and examples recomputed from the interactions.

    Attributes
    ----------
    due
        Rows as they must be, by partition.
    found
        Rows of the changelog, by partition.
    examples
        Examples that must be there, by the partition and offset of their interaction.
    counts
        Number of examples of each partition whose rows can be recomputed.
    sent
        What was sent on from partition to partition.
    """

    due: dict[int, dict[str, UserRow]] = field(default_factory=dict)
    found: dict[int, Rows] = field(default_factory=dict)
    examples: dict[Place, DueExample] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    sent: SentOnwards = field(default_factory=SentOnwards)


class Folding:
    """Folds the interactions of one partition into users' rows, and obeys the moves among them."""

    def __init__(
        self,
        partition: int,
        partitions: int,
        account: Account,
        report: Report,
        made: RecomputedUsers,
        incarnation: int,
    ) -> None:
        self.rows: dict[str, UserRow] = {}
        self.count = 0
        self._known: dict[str, UserRow] = {}
        self._earlier = _begun_earlier(made.found[partition])
        self._partition = partition
        self._partitions = partitions
        self._incarnation = incarnation
        self._account = account
        self._report = report
        self._made = made
        self._taken: dict[tuple[int, Place], int | None] = {}
        self._recent: dict[str, deque[bytes]] = {}
        self._moving = Moving(self._row, self._send_row, self._moved)

    def take(self, record: ReadRecord, said: Told) -> None:
        """Take in a record, unless it is a repeated one."""
        sent = self._made.sent
        sent.begin(self._partition, record.offset)
        way = None if isinstance(said, Command | Move) else said.way
        if way is not None:
            exact = not (isinstance(said, Transfer) and begun_earlier(users.unpack(said.row)))
            if not sent.arrived(way, record.value or b"", exact=exact):
                self._report.events.repeated += 1
                return
            if isinstance(said, Interaction):
                self._take_account(said, record.offset)
        elif isinstance(said, Interaction):
            self._take_event(record, said)
        match said:
            case Move():
                self._moving.obey(said)
            case Transfer():
                self._moving.receive(said)

    def _take_event(self, record: ReadRecord, interaction: Interaction) -> None:
        """Take in an interaction that ingest has sent."""
        value = record.value or b""
        # 0.1.0 named no incarnation; this program may have sent the same interaction again, with one.
        place = (
            interaction.incarnation or self._account.incarnation,
            Place(interaction.source, interaction.offset),
        )
        # Nor did it name accounts.
        exact = not value.startswith(OF_0_1_0)
        found = digest(encode(replace(interaction, incarnation=UNKNOWN))) if exact else None
        if place not in self._taken:
            self._taken[place] = found
            self._account.meet(self._partition, value, interaction)
            if not self._is_here(interaction.user):
                self._misplaced(interaction.user)
            self._take_account(interaction, record.offset)
            return
        self._report.events.repeated += 1
        if None not in (found, self._taken[place]) and self._taken[place] != found:
            self._report.differ("interactions", f"{told(interaction)} came again with other content")

    def _misplaced(self, user: str) -> None:
        self._report.differ(
            "interactions",
            f"the interactions of user {user!r} are in partition {self._partition}, which is not the user's",
        )

    def _take_account(self, interaction: Interaction, offset: int) -> None:
        """Fold an interaction into the row that has what its account did, or send it on there."""
        holder = self._moving.find(interaction)
        interaction = given_to(holder.user, interaction)
        row = self._row(holder.user)
        if row is not None:
            self._fold(row, interaction, offset)
        else:
            way = self._made.sent.way(holder.number)
            self._made.sent.send(way, encode(replace(interaction, way=way)))

    def _fold(self, row: UserRow, interaction: Interaction, offset: int) -> None:
        recent = self._recent.setdefault(interaction.user, deque(maxlen=RECENT_EVENTS))
        key = users.packed_key(interaction.event)
        if key in recent:
            self._report.events.duplicates += 1
            self._report.events.accepted -= 1
            return
        recent.append(key)
        self.rows[interaction.user] = row
        example = users.fold(row, interaction, self._partition, offset, self._incarnation)
        if example is not None:
            self.count += 1
            found = ExampleDigest.of(example, encode(example))
            due = DueExample(found, interaction.user, example.item, interaction.user in self._earlier)
            self._made.examples[Place(self._partition, offset)] = due

    def _row(self, user: str) -> UserRow | None:
        return self._known.setdefault(user, UserRow()) if self._is_here(user) else None

    def _is_here(self, user: str) -> bool:
        return partition_of(user.encode(), self._partitions) == self._partition

    def _send_row(self, to: str, account: str, part: UserRow, time: int, number: int) -> None:
        way = self._made.sent.way(number)
        moved = Transfer(TRANSFER, time, to, account, users.pack(part), way)
        self._made.sent.send(way, encode(moved))

    def _moved(self, user: str) -> None:
        """Note that a move has changed a user's row, and with it the events that it remembers."""
        row = self.rows[user] = self._known[user]
        self._recent[user] = deque(reversed(users.pieces(row.events, users.KEY_BYTES)), maxlen=RECENT_EVENTS)


def _begun_earlier(found: Rows) -> set[str]:
    """Return the users whose rows an earlier version began."""
    return {
        key.decode(errors="replace")
        for key, row in found.items()
        if key != PARTITION_ROW and _is_earlier(row)
    }


def _is_earlier(packed: bytes) -> bool:
    try:
        return begun_earlier(users.unpack(packed))
    except UNREADABLE:
        return False


def begun_earlier(row: UserRow) -> bool:
    """Tell whether an earlier version began a row: then it shares only a part with a row recomputed from its topic."""
    return row.began < USER_ROW_VERSION
