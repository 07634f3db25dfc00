"""Stages: the loop of every agent, written once.

A run is taken in by parts, each as long as the rows that it changes fit into one record batch. What a part must say is
whose offset marks a record, whether one more fits, and what taking it in does; the order of effects is the runner's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import faust

from afresh.state.store.changes import Change
from afresh.streams import metrics
from afresh.streams.kafka.sender import Outgoing
from afresh.streams.kafka.tables import RunTable
from afresh.streams.runs.run import KafkaRecord, Run
from afresh.streams.runs.runner import Runner
from afresh.streams.stages.shared import Shared

M = TypeVar("M")
P = TypeVar("P", bound="Part[Any]")


Source = tuple[str, int, int]
"""Topic, partition and offset of the record by whose offset another one is known, however often it comes."""


class Part(ABC, Generic[M]):
    """Records of a run that are taken in together.

    Parameters
    ----------
    run
        The run that they are of.
    change
        Rows that they change, and the marks of what was counted.
    shared
        What stages share.

    Attributes
    ----------
    partition
        Of the records and the rows.
    outgoing
        Records to send.
    """

    def __init__(self, run: Run, change: Change, shared: Shared) -> None:
        self.partition = run.partition
        self.change = change
        self.outgoing = Outgoing(shared.settings.partitions)
        self._settings = shared.settings
        self._topics = shared.topics

    @abstractmethod
    def read(self, record: KafkaRecord) -> M:
        """Make a message of a record: decode it as far as every record must be, known or not."""

    @abstractmethod
    def fits(self, message: M) -> bool:
        """Count a message in, and tell whether the part still fits; the first of a part is taken in all the same."""

    @abstractmethod
    def source(self, message: M) -> Source:
        """Tell by whose offset a message is known."""

    @abstractmethod
    def take(self, message: M) -> None:
        """Take in a message that comes for the first time."""

    def close(self) -> None:
        """Put into the change what only the part as a whole can tell."""

    def take_in(self, records: Sequence[KafkaRecord], position: int) -> int:
        """Take in records from a position on, as many as fit; return the position after them."""
        # Looked up once: a microsecond an event is what all this may cost.
        read, fits, source, take = self.read, self.fits, self.source, self.take
        count_offset = self.change.marks.count_offset
        for place in range(position, len(records)):
            message = read(records[place])
            if not fits(message) and place > position:
                return place
            if count_offset(*source(message)):
                take(message)
        return len(records)


class OwnPart(Part[KafkaRecord]):
    """A part whose records are known by their own place: they were made from no record of ours."""

    def read(self, record: KafkaRecord) -> KafkaRecord:
        """Leave the record as it is."""
        return record

    def source(self, message: KafkaRecord) -> Source:
        """Tell the record's own place."""
        return message.topic, message.partition, message.offset


class Stage(ABC, Generic[P]):
    """An agent with a table.

    Parameters
    ----------
    runner, table
        What feeds the agent and writes its effects, and the table of its rows.
    shared
        What stages share.
    """

    def __init__(self, runner: Runner, table: RunTable, shared: Shared) -> None:
        self._runner = runner
        self._table = table
        self._shared = shared

    @abstractmethod
    def begin(self, run: Run, change: Change) -> P:
        """Begin a part of a run."""

    async def agent(self, stream: faust.StreamT[object]) -> None:
        """Take in runs for ever."""
        await self._runner.drive(stream, self.process)

    async def process(self, run: Run) -> None:
        """Take in a run, part by part; effects in the order that ``streams.runs.runner`` states."""
        position = 0
        while position < len(run.records):
            await self.wait_for_room()
            part = self.begin(run, self._table.change(run.partition))
            position = part.take_in(run.records, position)
            metrics.SKIPPED.labels(self._runner.stage).inc(part.change.marks.skipped)
            part.close()
            await self._runner.write(run, part.outgoing, self._table, part.change)
            self.written(part)
        await self.end(run)

    async def wait_for_room(self) -> None:
        """Return once a part may begin: at once, unless somebody else has to catch up first."""

    def written(self, part: P) -> None:
        """Do what follows from a part once its rows are safe."""

    async def end(self, run: Run) -> None:
        """Allow a run to be committed, whose rows are all safe."""
        run.done()
