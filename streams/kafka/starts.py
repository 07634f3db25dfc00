"""Starts: decides where a source partition goes on, or that it must not.

The rows of a stage say which record they took in last, and of which incarnation of the topic
(``state.store.marks.Reached``). The group says up to where runs were committed. Kafka says what the log has. Normally
all three agree. Where they do not, records were lost, or are about to be counted twice or not at all, and one of four
things has happened:

* The topic was deleted and made again: its new records are read from the beginning.
* The log was truncated, or replaced by another one: nobody knows which of its records were counted. Refused.
* Rows were lost: records were committed that no row contains. Refused.
* Retention, or DeleteRecords, removed records that nobody had read: they are counted as lost.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import NamedTuple

from faust.types import TP

from afresh.state.errors import AfreshError
from afresh.state.store.marks import UNKNOWN, Reached
from afresh.streams import metrics

logger = logging.getLogger(__name__)


class Bounds(NamedTuple):
    """A partition as Kafka has it: incarnation of its topic, first offset, and offset behind its last record."""

    incarnation: int
    begin: int
    end: int


class Committed(NamedTuple):
    """A committed offset, and the incarnation of the topic that it belongs to; 0.1.0 did not note it."""

    offset: int
    incarnation: int


class Start(NamedTuple):
    """Offset at which a partition goes on, and the committed offset instead of which it does."""

    instead_of: int | None
    offset: int


class Looked(NamedTuple):
    """What was found in the log around the position of the rows.

    Attributes
    ----------
    at
        The record at the position; None if compaction or retention has removed it.
    behind
        Offset of the first record behind the position; None if there is none before the committed offset.
    """

    at: Reached | None = None
    behind: int | None = None


def is_other(incarnation: int, now: int) -> bool:
    """Whether an incarnation is known, and is not the present one."""
    return UNKNOWN not in (incarnation, now) and incarnation != now


@dataclass(frozen=True)
class SourcePartition:
    """A source partition, and what is known of it.

    Attributes
    ----------
    tp, log, committed
        The partition, its log, and its committed offset if it has one.
    reached
        Last record that the rows took in.
    at_least
        Highest offset that rows of 0.1.0 are sure to have taken in; -1 if they do not tell.
    group, table
        Consumer group, and changelog of the rows; None for a stage without rows.
    empty
        Whether the table has no partition row: it has never taken in anything.
    rebuilt
        Whether empty rows are made anew from the topics, which keep everything.
    """

    tp: TP
    log: Bounds
    committed: Committed | None
    group: str
    table: str | None = None
    reached: Reached | None = None
    at_least: int = -1
    empty: bool = False
    rebuilt: bool = False

    @property
    def instead_of(self) -> int | None:
        """The committed offset, if there is one."""
        return None if self.committed is None else self.committed.offset

    @property
    def usual(self) -> int:
        """Offset at which the partition goes on if nothing is wrong."""
        return self.instead_of or self.log.begin

    @property
    def position(self) -> int:
        """Offset of the last record that the rows are known to have taken in; -1 if there is none."""
        return self.reached.offset if self.reached else self.at_least

    @property
    def is_new(self) -> bool:
        """Whether the topic was deleted and made again since it was read."""
        if self.reached:
            return is_other(self.reached.incarnation, self.log.incarnation)
        return self.committed is not None and is_other(self.committed.incarnation, self.log.incarnation)

    @property
    def may_have_lost_rows(self) -> bool:
        """Whether the committed offset is beyond all that the rows are known to have taken in."""
        known = self.table is not None and (self.empty or self.reached is not None)
        return known and self.committed is not None and self.committed.offset > self.position + 1


def start_of(source: SourcePartition, looked: Looked) -> int:
    """Return the offset at which a source partition goes on.

    Raises
    ------
    AfreshError
        If it must not go on.
    """
    if source.is_new:
        logger.error(
            "%s was deleted and made again: %s-%d is read from its beginning; records of the old topic that were not "
            "read yet are gone, and what was counted stays",
            *(source.tp.topic, *source.tp),
            extra=source.tp._asdict(),
        )
        return source.log.begin
    _refuse_other_log(source, looked)
    if source.may_have_lost_rows and (looked.behind is not None or (source.empty and source.log.begin > 0)):
        if source.rebuilt and source.empty:
            return source.log.begin
        raise AfreshError(_lost_rows(source))
    return _count_lost(source)


def _refuse_other_log(source: SourcePartition, looked: Looked) -> None:
    (topic, partition), reached = source.tp, source.reached
    if (reached or source.at_least >= 0) and source.log.end <= source.position:
        what = f"ends at offset {source.log.end}, but records up to {source.position} were counted"
    elif reached and looked.at and looked.at[1:] != reached[1:]:
        what = f"has another record at offset {reached.offset} than the one that was counted"
    else:
        return
    advice = "replay the events under another AFRESH_NAMESPACE"
    if reached and source.log.incarnation != UNKNOWN:
        advice = (
            f"delete the topic {topic} and run: afresh topics create; workers then read the new topic from its "
            "beginning, what was counted stays, and records that were not read yet are lost unless they are sent again"
        )
    raise AfreshError(
        f"{topic}-{partition} {what}: it was cut short, or replaced by an older or another copy, and nobody can tell "
        f"which of its records were counted; {advice}"
    )


def _lost_rows(source: SourcePartition) -> str:
    assert source.committed is not None
    (topic, partition), committed = source.tp, source.committed.offset
    reach = "are all gone" if source.empty else f"end at its offset {source.position}"
    return (
        f"rows were lost: {topic}-{partition} was taken in up to offset {committed - 1}, but the rows in "
        f"{source.table} {reach}; restore that topic, or replay the events under another AFRESH_NAMESPACE, or let "
        f"rows be made anew from what Kafka still has: delete the offsets of the group {source.group} for {topic}"
    )


def _count_lost(source: SourcePartition) -> int:
    """Return where a partition goes on; count the records that are gone before anybody read them."""
    log, committed = source.log, source.committed
    start = log.begin if committed is None else committed.offset
    if committed is not None and (is_other(committed.incarnation, log.incarnation) or start > log.end):
        # The rows are ahead of a commit that was never made.
        start = source.position + 1
    unread = max(source.position + 1, 0 if committed is None else committed.offset)
    if unread and log.begin > unread:
        tell_lost(source.tp, log.begin - unread)
    return max(start, log.begin)


def tell_lost(tp: TP, count: int) -> None:
    """Say that records were removed before they were read, and count them."""
    metrics.RECORDS_LOST.labels(tp.topic).inc(count)
    logger.warning(
        "%d records of %s-%d were removed before they were read, by retention or DeleteRecords; they are lost",
        *(count, *tp),
        extra=tp._asdict() | {"records": count},
    )


def refuse_lost_rows(tp: TP, log: Bounds, written_for: int) -> None:
    """Refuse a changelog that has lost its beginning, which compaction never moves, or that was made again.

    Parameters
    ----------
    tp, log
        Partition of the changelog, and its log.
    written_for
        Incarnation that its partition row was written for.

    Raises
    ------
    AfreshError
        If it has.
    """
    if log.begin > 0:
        raise AfreshError(
            f"rows were lost: the first {log.begin:,} records of {tp.topic}-{tp.partition} were deleted, by "
            "cleanup.policy=delete or DeleteRecords (compaction leaves the beginning where it is); restore the topic, "
            "or replay the events under another AFRESH_NAMESPACE"
        )
    if is_other(written_for, log.incarnation):
        raise AfreshError(
            f"rows were lost: {tp.topic} was made again while a worker wrote to it, or is a copy of another topic; "
            "restore the topic, or replay the events under another AFRESH_NAMESPACE"
        )
