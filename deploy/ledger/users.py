"""Recomputes the users' rows from the interactions, and the examples that follow; takes each interaction once."""

from __future__ import annotations

from typing import Any

from afresh.deploy.ledger.comparing import UNREADABLE, compare, leave_unchecked, struct_fields
from afresh.deploy.ledger.events import Account, told
from afresh.deploy.ledger.folding import Folding, RecomputedUsers, begun_earlier
from afresh.deploy.ledger.reading import Logs, Rows, decoded, made_from_what_is_gone, newest
from afresh.deploy.ledger.report import Report
from afresh.state.rows import users
from afresh.state.rows.users import UserRow
from afresh.streams.messages import decode_command, interaction_decoder
from afresh.streams.topics import Topics

TABLE = "users"


NOT_SHARED = ("items", "times", "seen", "refused", "details", "platforms", "accounts", "began")
"""Fields of a row that a program of an earlier version did not keep, or folded otherwise.

0.1.0 put each item in front of the history, whatever its time.
"""


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
    topic = topics.interactions
    made, incarnation = RecomputedUsers(), logs.incarnation(topic)
    for partition in range(topic.partitions):
        found = made.found[partition] = newest(logs.records(topics.users, partition))
        folding = Folding(partition, topic.partitions, account, report, made, incarnation)
        decode = interaction_decoder.decode
        for record, said in decoded(logs, topic, partition, decode, report, decode_command):
            folding.take(record, said)
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
        _count(folding.rows, found, report)
    made.sent.check(made.counts, report)
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
