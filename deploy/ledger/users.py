"""Recomputes the users' rows from the interactions, and the examples that follow; takes each interaction once."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec.structs import replace

from afresh.deploy.ledger.comparing import UNREADABLE, compare, leave_unchecked, struct_fields
from afresh.deploy.ledger.events import Account, Place, digest, told
from afresh.deploy.ledger.reading import (
    PARTITION_ROW,
    Logs,
    ReadRecord,
    Rows,
    decoded,
    made_from_what_is_gone,
    newest,
)
from afresh.deploy.ledger.report import Report
from afresh.state.records import Example, Interaction
from afresh.state.rows import users
from afresh.state.rows.users import RECENT_EVENTS, USER_ROW_VERSION, UserRow
from afresh.state.store.marks import UNKNOWN
from afresh.streams.kafka.sender import partition_of
from afresh.streams.messages import encode, interaction_decoder
from afresh.streams.topics import Topics

TABLE = "users"


NOT_SHARED = ("refused", "details", "platforms", "accounts", "began")
"""Fields of a row that a program of an earlier version did not keep, or folded otherwise."""


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
    """Return an example as 0.1.0 made it."""
    return Example(
        example.source,
        example.offset,
        example.item,
        example.domain,
        example.time,
        example.history,
        example.times,
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
    """

    due: dict[int, dict[str, UserRow]] = field(default_factory=dict)
    found: dict[int, Rows] = field(default_factory=dict)
    examples: dict[Place, DueExample] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)


class Folding:
    """Folds the interactions of one partition into users' rows."""

    def __init__(
        self, partition: int, account: Account, report: Report, made: RecomputedUsers, incarnation: int
    ) -> None:
        self.rows: dict[str, UserRow] = {}
        self.count = 0
        self._earlier = _begun_earlier(made.found[partition])
        self._partition = partition
        self._incarnation = incarnation
        self._account = account
        self._report = report
        self._made = made
        self._taken: dict[tuple[int, Place], int] = {}
        self._recent: dict[str, deque[str]] = {}

    def take(self, record: ReadRecord, interaction: Interaction) -> None:
        """Take in a record, unless it is a repeated one."""
        value = record.value or b""
        # 0.1.0 named no incarnation; this program may have sent the same interaction again, with one.
        place = (
            interaction.incarnation or self._account.incarnation,
            Place(interaction.source, interaction.offset),
        )
        found = digest(encode(replace(interaction, incarnation=UNKNOWN)))
        if place not in self._taken:
            self._taken[place] = found
            self._account.meet(self._partition, value, interaction)
            self._fold(interaction, record.offset)
            return
        self._report.events.repeated += 1
        if self._taken[place] != found:
            self._report.differ("interactions", f"{told(interaction)} came again with other content")

    def _fold(self, interaction: Interaction, offset: int) -> None:
        recent = self._recent.setdefault(interaction.user, deque(maxlen=RECENT_EVENTS))
        if interaction.event in recent:
            self._report.events.duplicates += 1
            self._report.events.accepted -= 1
            return
        recent.append(interaction.event)
        row = self.rows.setdefault(interaction.user, UserRow())
        example = users.fold(row, interaction, self._partition, offset, self._incarnation)
        if example is not None:
            self.count += 1
            found = ExampleDigest.of(example, encode(example))
            due = DueExample(found, interaction.user, example.item, interaction.user in self._earlier)
            self._made.examples[Place(self._partition, offset)] = due


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


def _fields(packed: bytes) -> dict[str, Any]:
    return struct_fields(users.unpack(packed))


def _anew(due: bytes, found: bytes) -> bytes:
    """Pack a row that was found as this version does; what the versions do not share is taken from the row due."""
    row = users.unpack(found)
    if begun_earlier(row):
        meant = users.unpack(due)
        for name in NOT_SHARED:
            setattr(row, name, getattr(meant, name))
    return users.pack(row)


def check_users(logs: Logs, topics: Topics, account: Account, report: Report) -> RecomputedUsers:
    """Recompute the users' rows and compare them with their changelog."""
    made, incarnation = RecomputedUsers(), logs.incarnation(topics.interactions)
    for partition in range(topics.interactions.partitions):
        found = made.found[partition] = newest(logs.records(topics.users, partition))
        folding = Folding(partition, account, report, made, incarnation)
        for record, interaction in decoded(logs, topics.interactions, partition, interaction_decoder, report):
            folding.take(record, interaction)
        if made_from_what_is_gone(found, logs, topics.interactions):
            leave_unchecked(report, TABLE, found)
            made.examples = {
                place: due for place, due in made.examples.items() if place.partition != partition
            }
            continue
        made.due[partition] = folding.rows
        made.counts[partition] = folding.count
        rows = {user.encode(): users.pack(row) for user, row in folding.rows.items()}
        compare(report, TABLE, "user", rows, found, _fields, _anew)
        for user in folding.rows:
            if partition_of(user.encode(), topics.interactions.partitions) != partition:
                report.differ(
                    "interactions",
                    f"the interactions of user {user!r} are in partition {partition}, which is not the user's",
                )
        _count(folding.rows, found, report)
    report.events.examples = sum(made.counts.values())
    lost = list(account.missing())
    if len(made.counts) < topics.interactions.partitions:
        # Nobody can tell which of them had an interaction in the topic that is gone.
        report.events.unchecked += len(lost)
        report.events.accepted -= len(lost)
        lost = []
    for place, interaction in lost:
        report.differ(
            "events",
            f"{told(interaction)} at {place.partition}@{place.offset} is lost: it has no interaction",
        )
    report.events.missing += len(lost)
    events = report.events
    events.once = max(events.accepted - events.missing - events.twice, 0)
    return made


def _count(due: dict[str, UserRow], found: Rows, report: Report) -> None:
    """Count the events that the rows count twice, or not at all."""
    for user, row in due.items():
        packed = found.get(user.encode())
        if packed is None:
            report.events.missing += row.revision
        elif packed != users.pack(row):
            more = _revision(packed, row.revision) - row.revision
            report.events.twice += max(more, 0)
            report.events.missing += max(-more, 0)


def _revision(packed: bytes, unreadable: int) -> int:
    try:
        return users.unpack(packed).revision
    except UNREADABLE:
        return unreadable
