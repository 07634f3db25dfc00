"""learn: updates the row of the item taken from each example; ``state.rows.learning`` has the update itself."""

from __future__ import annotations

from afresh.state.records import Example
from afresh.state.rows.behaviour import ROW, BehaviourRows
from afresh.state.rows.learning import learn
from afresh.state.store.changes import Change, PerAssignment
from afresh.streams.kafka.tables import RunTable
from afresh.streams.messages import decode_example
from afresh.streams.runs.run import KafkaRecord, Run
from afresh.streams.runs.runner import Runner
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import Part, Source, Stage


class Learn(Stage["LearnPart"]):
    """The agent of ``afresh.examples``."""

    def __init__(self, runner: Runner, table: RunTable, shared: Shared) -> None:
        super().__init__(runner, table, shared)
        self._behaviour = PerAssignment(table, lambda partition: BehaviourRows(table.rows[partition]))

    def begin(self, run: Run, change: Change) -> LearnPart:
        """Begin a part, given the behaviour rows of its partition."""
        return LearnPart(run, change, self._behaviour[run.partition], self._shared)


class LearnPart(Part[Example]):
    """Examples that are learned together."""

    def __init__(self, run: Run, change: Change, rows: BehaviourRows, shared: Shared) -> None:
        super().__init__(run, change, shared)
        self._rows = rows
        self._interactions = shared.topics.interactions.name
        self._examples: list[Example] = []
        self._items: set[str] = set()
        self._longest_id = rows.longest_id

    def read(self, record: KafkaRecord) -> Example:
        """Decode an example; one of a newer program is refused."""
        return decode_example(record.value)

    def fits(self, message: Example) -> bool:
        """Whether the row of one more item fits, even with all its neighbours."""
        return (len(self._items) + 1) * (ROW.itemsize + self._longest_id) <= self.change.room

    def source(self, message: Example) -> Source:
        """Return the topic, incarnation, partition and offset of the interaction that the example was made from."""
        return self._interactions, message.incarnation, message.source, message.offset

    def take(self, message: Example) -> None:
        """Collect an example; ``close`` learns all of them at once, which costs far less than one by one."""
        self._examples.append(message)
        self._items.add(message.item)
        self._longest_id = max(self._longest_id, len(message.item.encode()))

    def close(self) -> None:
        """Learn the examples, and put the changed rows into the change."""
        if self._examples:
            for number in learn(self._rows, self._examples):
                self.change.put_row(self._rows.ids[number], self._rows.packed(number))
