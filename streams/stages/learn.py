"""learn: an example moves the rows of the items that it names; what it moves, and how, says ``state.rows.learning``."""

from __future__ import annotations

from collections.abc import Sequence

import faust

from afresh.state.records import Example
from afresh.state.rows.behaviour import ROW, BehaviourRows
from afresh.state.rows.learning import learn
from afresh.state.store.changes import CHANGE_BYTES, Change, PerAssignment
from afresh.streams import metrics
from afresh.streams.kafka.sender import Outgoing
from afresh.streams.kafka.tables import RunTable
from afresh.streams.messages import example_decoder
from afresh.streams.runs.runner import KafkaRecord, Run, Runner
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics


class Learn:
    """The agent of ``afresh.examples``."""

    def __init__(self, runner: Runner, table: RunTable, settings: Settings, topics: Topics) -> None:
        self._runner = runner
        self._table = table
        self._settings = settings
        self._topics = topics
        self._behaviour = PerAssignment(table, BehaviourRows)

    async def agent(self, stream: faust.StreamT[object]) -> None:
        """Take in runs for ever."""
        await self._runner.drive(stream, self.process)

    async def process(self, run: Run) -> None:
        """Learn from a run, in parts whose rows fit into one record batch."""
        position = 0
        while position < len(run.records):
            change = self._table.change(run.partition)
            examples, position = self._next_part(change, run.partition, run.records, position)
            if examples:
                self._learn(change, examples, run.partition)
            await self._runner.write(run, Outgoing(self._settings.partitions), self._table, change)
        run.done()

    def _learn(self, change: Change, examples: Sequence[Example], partition: int) -> None:
        rows = self._behaviour[partition]
        for number in learn(rows, examples):
            change.put_row(rows.ids[number], rows.packed(number))

    def _next_part(
        self, change: Change, partition: int, records: Sequence[KafkaRecord], position: int
    ) -> tuple[list[Example], int]:
        examples: list[Example] = []
        items: set[str] = set()
        longest_id = self._behaviour[partition].longest_id
        while position < len(records):
            if (len(items) + 1) * (ROW.itemsize + longest_id) > CHANGE_BYTES:
                break
            example = example_decoder.decode(records[position].value)
            if change.marks.count_offset(self._topics.interactions.name, example.source, example.offset):
                examples.append(example)
                items.add(example.item)
                longest_id = max(longest_id, len(example.item.encode()))
            else:
                metrics.SKIPPED.labels("learn").inc()
            position += 1
        return examples, position
