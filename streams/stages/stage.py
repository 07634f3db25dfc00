"""Base classes of stages: the loop of every agent, written once.

A stage takes a run in part by part. A part ends when the rows that it changes fill one record batch. A subclass of
Part answers three questions: which source offset a record is counted by, whether one more record fits, and what a
record changes. The runner decides the order of effects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import faust
import msgspec

from afresh.state.store.changes import Change
from afresh.state.store.marks import UNKNOWN, reached_with
from afresh.streams import metrics
from afresh.streams.kafka.sender import Outgoing
from afresh.streams.kafka.tables import RunTable
from afresh.streams.runs.run import KafkaRecord, Owned, Run, not_ours
from afresh.streams.runs.runner import Runner
from afresh.streams.stages.shared import Shared

M = TypeVar("M")
P = TypeVar("P", bound="Part[Any]")


Source = tuple[str, int, int, int]
"""Topic, its incarnation, partition and offset that a record is counted by in the marks; the same at every delivery of
the record."""


class Part(ABC, Generic[M]):
    """Records of a run that are taken in together.

    Parameters
    ----------
    run
        Run of the records, or the assignment of their partition.
    change
        Changes of rows and marks, collected until the part is written.
    shared
        What all stages share.

    Attributes
    ----------
    partition
        Partition of the records and of the rows.
    incarnation
        Incarnation of the topic of the records that are taken in.
    outgoing
        Records to send.
    """

    def __init__(self, run: Owned, change: Change, shared: Shared) -> None:
        self.partition = run.partition
        self.incarnation = UNKNOWN
        self._incarnations = shared.incarnations
        self.change = change
        self.outgoing = Outgoing(shared.settings.partitions)
        self._settings = shared.settings
        self._topics = shared.topics

    @abstractmethod
    def read(self, record: KafkaRecord) -> M:
        """Decode a record as far as ``fits`` and ``source`` need it; repeated records come here too."""

    @abstractmethod
    def fits(self, message: M) -> bool:
        """Count a message, and say whether the part still fits; the first message of a part is taken in regardless."""

    @abstractmethod
    def source(self, message: M) -> Source:
        """Return the topic, incarnation, partition and offset that a message is counted by."""

    @abstractmethod
    def take(self, message: M) -> None:
        """Take in a message that comes for the first time."""

    def close(self) -> None:
        """Add to the change what is known only at the end of the part."""

    def take_in(self, records: Sequence[KafkaRecord], position: int) -> int:
        """Take in as many records as fit, from a position on; return the position after them.

        Raises
        ------
        AfreshError
            If somebody else has written to a topic that only we write.
        """
        self.incarnation = self._incarnations.of(records[position].topic)
        # Looked up once: this loop may cost about a microsecond for each event.
        read, fits, source, take = self.read, self.fits, self.source, self.take
        count_offset = self.change.marks.count_offset
        current, end = position, len(records)
        try:
            for current in range(position, end):
                message = read(records[current])
                if not fits(message) and current > position:
                    end = current
                    break
                if count_offset(*source(message)):
                    take(message)
        except (msgspec.MsgspecError, TypeError) as error:
            if isinstance(error, TypeError) and records[current].value is not None:
                raise
            raise not_ours(records[current]) from error
        last = records[end - 1]
        self.change.reach(last.topic, reached_with(last, self.incarnation))
        return end


class OwnPart(Part[KafkaRecord]):
    """Part whose records are counted by their own offsets, because they come from outside, not from another stage."""

    def read(self, record: KafkaRecord) -> KafkaRecord:
        """Return the record as it is."""
        return record

    def source(self, message: KafkaRecord) -> Source:
        """Return the topic, incarnation, partition and offset of the record itself."""
        return message.topic, self.incarnation, message.partition, message.offset


class Stage(ABC, Generic[P]):
    """An agent with a table.

    Parameters
    ----------
    runner
        Feeds the agent with runs, and writes its effects.
    table
        Table of the agent's rows.
    shared
        What all stages share.
    """

    def __init__(self, runner: Runner, table: RunTable, shared: Shared) -> None:
        self._runner = runner
        self._table = table
        self._shared = shared

    @abstractmethod
    def begin(self, run: Run, change: Change) -> P:
        """Begin a part of a run."""

    async def agent(self, stream: faust.StreamT[object]) -> None:
        """Take in runs forever."""
        await self._runner.drive(stream, self.process)

    async def process(self, run: Run) -> None:
        """Take in a run part by part, with the effects in the order that ``streams.runs.runner`` states."""
        position = 0
        while position < len(run.records):
            await self.wait_for_room()
            position = await self._process_part(run, position)
        await self.end(run)

    async def _process_part(self, run: Run, position: int) -> int:
        """Take in a part from a position on, and return the position after it.

        A method of its own, so that nothing holds what the part sent while the run waits for room.
        """
        part = self.begin(run, self._table.change(run.partition))
        position = part.take_in(run.records, position)
        metrics.SKIPPED.labels(self._runner.stage).inc(part.change.marks.skipped)
        part.close()
        await self._runner.write(run, part.outgoing, self._table, part.change)
        self.written(part)
        return position

    async def wait_for_room(self) -> None:
        """Wait until a part may begin; by default at once."""

    def written(self, part: P) -> None:
        """React to a part whose rows Kafka has acknowledged."""

    async def end(self, run: Run) -> None:
        """Allow the commit of a run whose rows Kafka has all acknowledged."""
        run.done()
