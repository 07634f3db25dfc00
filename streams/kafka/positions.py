"""Positions: compares rows, committed offsets and logs, once the rows are recovered and before the sources are read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from faust.types import TP

from afresh.state.store.changes import Change, partition_row
from afresh.state.store.marks import PARTITION_ROW_VERSION, UNKNOWN, PartitionRow, reached_with
from afresh.streams.kafka.incarnations import Incarnations, TopicWatch
from afresh.streams.kafka.peek import Peeked, peek
from afresh.streams.kafka.starts import (
    Bounds,
    Committed,
    Looked,
    SourcePartition,
    Start,
    refuse_lost_rows,
    start_of,
)
from afresh.streams.kafka.tables import RunTable
from afresh.streams.kafka.transport import RunConsumer
from afresh.streams.settings import Settings

Write = Callable[[RunTable, int, Change], Awaitable[None]]


class Read(NamedTuple):
    """How a topic is read: by the stage of a table (None: one without rows), which may make empty rows anew."""

    table: RunTable | None
    rebuilt: bool = False


class Positions:
    """Decides where each source partition goes on.

    Parameters
    ----------
    settings, group
        Settings of the deployment, and the consumer group.
    sources
        How each source topic is read, by its name.
    incarnations, watch
        Incarnations of the topics, and what asks Kafka for them.
    write
        Writes a change of a table's partition to its changelog.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        sources: Mapping[str, Read],
        incarnations: Incarnations,
        watch: TopicWatch,
        write: Write,
    ) -> None:
        self._settings = settings
        self._group = group
        self._sources = sources
        self._changelogs = {
            # A table without rows is false.
            each.table.changelog_topic.get_topic_name(): each.table
            for each in sources.values()
            if each.table is not None
        }
        self._incarnations = incarnations
        self._watch = watch
        self._write = write

    async def starts(self, consumer: RunConsumer, ours: Iterable[TP]) -> dict[TP, Start]:
        """Return where source partitions among ours go on, if not at their committed offsets.

        Raises
        ------
        AfreshError
            If one of them must not go on, or a topic is another one than before.
        KafkaError
            If Kafka does not answer.
        """
        await self._watch.ask()
        tps = list(ours)
        begins, ends = await consumer.earliest_offsets(*tps), await consumer.highwaters(*tps)
        bounds = {tp: Bounds(self._incarnations.of(tp.topic), begins[tp], ends[tp]) for tp in tps}
        for tp in tps:
            if tp.topic in self._changelogs:
                row = partition_row(self._changelogs[tp.topic].rows[tp.partition])
                refuse_lost_rows(tp, bounds[tp], row.changelog if row else UNKNOWN)
        committed = await consumer.committed([tp for tp in tps if tp.topic in self._sources])
        sources = [self._source(tp, bounds[tp], offset) for tp, offset in committed.items()]
        peeked = await peek(self._settings, {each.tp: range_of(each) for each in sources if range_of(each)})
        found = {each: start_of(each, looked(each, peeked)) for each in sources}
        for tp in tps:
            if tp.topic in self._changelogs:
                await self._raise(self._changelogs[tp.topic], tp.partition, sources, peeked)
        return {
            each.tp: Start(each.instead_of, start) for each, start in found.items() if start != each.usual
        }

    async def _raise(
        self, table: RunTable, partition: int, sources: Sequence[SourcePartition], peeked: Peeked
    ) -> None:
        """Write a partition row of 0.1.0 anew, with the incarnations that its topics have now.

        Its next part would do so too. But it may come late, when a topic has been made again in the meantime.
        """
        row = partition_row(table.rows[partition])
        if row is None or row.version == PARTITION_ROW_VERSION:
            return
        change = table.change(partition)
        for topic in row.marks:
            change.marks.adopt(topic, self._incarnations.of(topic))
        for each in sources:
            if each.table == table.changelog_topic.get_topic_name() and each.tp.partition == partition:
                for record in peeked.get(each.tp, ())[:1]:
                    change.reach(each.tp.topic, reached_with(record, each.log.incarnation))
        await self._write(table, partition, change)

    def _source(self, tp: TP, log: Bounds, committed: Committed | None) -> SourcePartition:
        table, rebuilt = self._sources[tp.topic]
        if table is None:
            return SourcePartition(tp, log, committed, self._group)
        row = partition_row(table.rows[tp.partition])
        reached = row.reached.get(tp.topic) if row else None
        return SourcePartition(
            tp,
            log,
            committed,
            self._group,
            table=str(table.changelog_topic.get_topic_name()),
            reached=reached[-1] if reached else None,
            at_least=_at_least(row, tp, committed),
            empty=row is None,
            rebuilt=rebuilt,
        )


def _at_least(row: PartitionRow | None, tp: TP, committed: Committed | None) -> int:
    """Return the offset up to which a row of 0.1.0 has surely taken a topic in; -1 if it has not, or is none."""
    if row is None or row.version == PARTITION_ROW_VERSION:
        return -1
    marks = np.frombuffer(row.marks.get(tp.topic, b""), "<i8")
    counted = int(marks[tp.partition]) if tp.partition < len(marks) else -1
    # Rows are written before their offsets are committed.
    return max(counted, committed.offset - 1 if committed else -1)


def range_of(source: SourcePartition) -> range:
    """Return the offsets at which a look into the log is needed: the position, and what was committed behind it."""
    if source.is_new:
        return range(0)
    first = max(source.position, 0) if not source.empty else 0
    stop = source.position + 1
    if source.may_have_lost_rows and source.committed:
        stop = source.committed.offset
    return range(max(first, source.log.begin), min(stop, source.log.end))


def looked(source: SourcePartition, peeked: Peeked) -> Looked:
    """Return what a look into the log has found: the record at the position, and the first one behind it."""
    found = Looked()
    for record in peeked.get(source.tp, ()):
        if record.offset == source.position:
            found = found._replace(at=reached_with(record, UNKNOWN))
        elif found.behind is None:
            found = found._replace(behind=record.offset)
    return found
