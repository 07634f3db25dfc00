"""Compares with another run over the same events, in all that does not depend on how partitions interleave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from afresh.deploy.ledger.comparing import (
    LAST_BITS,
    UNREADABLE,
    behaviour_fields,
    differing,
    shown,
    struct_fields,
)
from afresh.deploy.ledger.folding import begun_earlier
from afresh.deploy.ledger.reading import PARTITION_ROW, Logs, Rows, newest
from afresh.deploy.ledger.report import Report
from afresh.deploy.ledger.users import NOT_SHARED
from afresh.state.rows import users
from afresh.streams.topics import Topic, Topics

KAFKAS_OWN = ("since",)
"""Fields of a user's row that hold a time of Kafka. They differ between runs."""

COUNTS = ("examples", "time", "counts")
"""Fields of a behaviour row that hold how often its item was taken, and when."""


@dataclass(frozen=True)
class State:
    """Newest rows of the users' and the behaviour changelog, by partition."""

    users: Mapping[int, Rows]
    behaviour: Mapping[int, Rows]


def check_against(other: Logs, topics: Topics, ours: State, report: Report) -> None:
    """Compare users' rows and items' counts with those in the topics of another run."""
    theirs = State(_read(other, topics.users), _read(other, topics.behaviour))
    _compare("users of the other run", "user", ours.users, theirs.users, _user_difference, report)
    _compare("items of the other run", "item", ours.behaviour, theirs.behaviour, _item_difference, report)


def _read(logs: Logs, topic: Topic) -> dict[int, Rows]:
    return {partition: newest(logs.records(topic, partition)) for partition in range(topic.partitions)}


def _compare(
    name: str,
    whose: str,
    ours: Mapping[int, Rows],
    theirs: Mapping[int, Rows],
    difference: Callable[[bytes, bytes], str],
    report: Report,
) -> None:
    tally = report.tally(name)
    mine, due = _together(ours), _together(theirs)
    tally.expected = len(due)
    tally.missing, tally.surplus = len(due.keys() - mine.keys()), len(mine.keys() - due.keys())
    for key in sorted(due.keys() ^ mine.keys()):
        report.differ(name, f"only {'this' if key in mine else 'that'} run has {whose} {shown(key)}")
    for key in due.keys() & mine.keys():
        if fault := difference(due[key], mine[key]):
            tally.wrong += 1
            report.differ(name, f"{whose} {shown(key)} differs: {fault}")
        else:
            tally.equal += 1


def _together(rows: Mapping[int, Rows]) -> Rows:
    return {key: row for each in rows.values() for key, row in each.items() if key != PARTITION_ROW}


def _user_difference(due: bytes, found: bytes) -> str:
    try:
        rows = [users.unpack(row) for row in (due, found)]
    except UNREADABLE as error:
        return f"a row cannot be read ({error})"
    early = any(begun_earlier(each) for each in rows)
    theirs, ours = map(struct_fields, rows)
    return differing(theirs, ours, (*KAFKAS_OWN, *NOT_SHARED) if early else KAFKAS_OWN)


def _item_difference(due: bytes, found: bytes) -> str:
    try:
        theirs, ours = ({name: behaviour_fields(row)[name] for name in COUNTS} for row in (due, found))
    except UNREADABLE as error:
        return f"a row cannot be read ({error})"
    if np.allclose(theirs["counts"], ours["counts"], rtol=LAST_BITS, atol=0):
        ours["counts"] = theirs["counts"]
    return differing(theirs, ours)
