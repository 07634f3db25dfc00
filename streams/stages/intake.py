"""intake: checks the records of compacted inputs, and passes them on into topics where a key has one partition.

Strangers write the inputs, and choose partitions by any hash. ``INPUTS`` lists them: a new one needs its topics in
``streams.topics``, a check, an entry there, and its topic among the sources of the stage.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from afresh.state.rows import intake
from afresh.state.rows.intake import IntakeRow
from afresh.state.store.changes import Change, in_groups
from afresh.streams import metrics
from afresh.streams.checks import RefusedError, check_keyed_item
from afresh.streams.dead_letters import dead_letter
from afresh.streams.kafka.inputs import Inputs, KafkaInputs
from afresh.streams.kafka.sender import Outgoing, OutgoingRecord, partition_of
from afresh.streams.kafka.tables import RunTable
from afresh.streams.links import check_link
from afresh.streams.messages import KeyedRecord, encode, keyed_key
from afresh.streams.runs.run import KafkaRecord, Owned
from afresh.streams.runs.runner import Runner
from afresh.streams.settings import Settings
from afresh.streams.stages.prepared import PreparedStage
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import OwnPart
from afresh.streams.topics import FIRST_PARTITION, Topics

ROW_BYTES = 64
"""Upper bound on a row and the name of its input, in bytes, besides the key."""

AT_ONCE = 1000
"""Rows that are compared before the event loop gets its turn."""

KAFKAS_TIME = 1
"""Timestamp type of a record whose time is that at which Kafka appended it."""

PRODUCERS_TIME_MS = 2**53
"""Taken off times that producers chose (topics of 0.1.0 have them), so that they are before all times of Kafka."""

Check = Callable[[bytes | None, bytes | None, Settings], object]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Input:
    """A compacted topic that strangers write.

    Attributes
    ----------
    topic, keyed
        The input, and the topic of its keyed records, by their names in ``streams.topics.Topics``.
    check
        Checks key and value of a record; raises RefusedError.
    together
        Whether all keyed records go to the first partition, for one worker to take them in, in one order.
    """

    topic: str
    keyed: str
    check: Check
    together: bool = False


INPUTS = (
    Input("items", "items_keyed", check_keyed_item),
    Input("identities", "identities_keyed", check_link, together=True),
)


class Intake(PreparedStage["IntakePart"]):
    """The agent of the inputs.

    Attributes
    ----------
    inputs
        Reads the inputs outside the consumer group.
    clock
        Clock, seconds since 1970.
    """

    clock: Callable[[], float] = staticmethod(time.time)

    def __init__(self, runner: Runner, table: RunTable, shared: Shared) -> None:
        super().__init__(runner, table, shared)
        self.inputs: Inputs = KafkaInputs(shared.settings)
        self._topics = shared.topics
        self._tombstones: dict[str, tuple[int, int]] = {}

    def begin(self, run: Owned, change: Change) -> IntakePart:
        """Begin a part of any input."""
        return IntakePart(run, change, self._shared)

    async def prepare(self, owned: Owned) -> None:
        """Take in what only another program has read, and the deletions that were missed during a long stop."""
        state = intake.unpack_state(self._table.change(owned.partition).agent_state)
        for each in INPUTS:
            reached = state.of(each.topic)
            if not reached.compared:
                await self._take_in_first(owned, each)
            elif await self._stood_still(owned, each, max(reached.time, reached.compared)):
                await self._compare(owned, each)

    async def _take_in_first(self, owned: Owned, of: Input) -> None:
        """Take in the records that the group has committed: the content stage of 0.1.0 read them, not the intake.

        Only the newest of each key: with all that compaction has left, items would go through their past once more.
        """
        newest: dict[bytes, int] = {}
        async with self.inputs.open(self._topics.named(of.topic).name, owned.partition) as partition:
            # A topic that was made anew may end before the offset that was committed of the old one.
            until = min(partition.committed, partition.end)
            async for records in partition.records(until):
                newest.update(
                    (record.key or b"", record.offset) for record in records if self._usable(record, of)
                )
            async for records in partition.records(until):
                await self._take_in(
                    owned, [each for each in records if newest.get(each.key or b"") == each.offset]
                )
            await self._pass_over(owned, of, until)
        await self._note_compared(owned, of)

    async def _pass_over(self, owned: Owned, of: Input, until: int) -> None:
        """Count all records before an offset as taken in: refused ones would become dead letters once more."""
        if until:
            change, topic = self._table.change(owned.partition), self._topics.named(of.topic).name
            change.marks.count_offset(topic, self._incarnation(of), owned.partition, until - 1)
            await self._runner.write(owned, Outgoing(self._shared.settings.partitions), self._table, change)

    def _incarnation(self, of: Input) -> int:
        return self._shared.incarnations.of(self._topics.named(of.topic).name)

    def _usable(self, record: KafkaRecord, of: Input) -> bool:
        try:
            of.check(record.key, record.value, self._shared.settings)
        except RefusedError:
            return False
        return True

    async def _take_in(self, owned: Owned, records: Sequence[KafkaRecord]) -> None:
        position = 0
        while position < len(records):
            part = self.begin(owned, self._table.change(owned.partition))
            position = part.take_in(records, position)
            part.close()
            await self._runner.write(owned, part.outgoing, self._table, part.change)

    async def _stood_still(self, owned: Owned, of: Input, since: int) -> bool:
        """Whether tombstones written since a time may have been compacted away before they were read."""
        return self._now() - since > await self._tombstones_ms(owned, of) / 2

    async def _tombstones_ms(self, owned: Owned, of: Input) -> int:
        # Once an assignment: asked for each partition, it would hold back the first runs of a worker with many.
        known = self._tombstones.get(of.topic)
        if known is None or known[0] != owned.generation:
            kept = await self.inputs.tombstones_ms(self._topics.named(of.topic).name)
            known = self._tombstones[of.topic] = owned.generation, kept
        return known[1]

    def _now(self) -> int:
        return int(self.clock() * 1000)

    async def _compare(self, owned: Owned, of: Input) -> None:
        """Delete the keys that have rows and are not in the source partition any more."""
        name = self._topics.named(of.topic).name
        present: set[bytes] = set()
        async with self.inputs.open(name, owned.partition) as partition:
            async for records in partition.records(partition.end):
                present.update(record.key or b"" for record in records)
        vanished = await self._vanished(owned.partition, of, present, partition.end)
        if vanished:
            logger.warning(
                "%d keys of %s-%d have vanished: deleted",
                *(len(vanished), name, owned.partition),
                extra={"stage": "intake", "topic": name, "partition": owned.partition},
            )
        deletion = encode(self._deletion(owned.partition, of, partition.end))
        change = self._table.change(owned.partition)
        for keys in in_groups(vanished, change.room):
            outgoing = Outgoing(self._shared.settings.partitions)
            for key in keys:
                change.delete_row(intake.row_key(of.topic, key))
                send(outgoing, self._topics, of, owned.partition, key, deletion)
            await self._runner.write(owned, outgoing, self._table, change)
            change = self._table.change(owned.partition)
        await self._note_compared(owned, of)

    async def _vanished(self, partition: int, of: Input, present: set[bytes], end: int) -> list[bytes]:
        prefix, rows = intake.row_key(of.topic, b""), self._table.rows[partition]
        vanished = []
        for number, row_key in enumerate(rows.keys_now()):
            key = row_key.removeprefix(prefix)
            packed = rows.get(row_key) if row_key.startswith(prefix) and key not in present else None
            if packed is not None and self._stood_before(intake.unpack(packed), of, end):
                vanished.append(key)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        return vanished

    def _stood_before(self, row: IntakeRow, of: Input, end: int) -> bool:
        """Whether a record was among those that were read: not behind their end, nor in a topic made again since."""
        return row.offset < end and row.incarnation == self._incarnation(of)

    def _deletion(self, partition: int, of: Input, end: int) -> KeyedRecord:
        """Make the keyed record that deletes what has vanished.

        Nobody knows when the tombstone was written, only that it came after the newest record that was taken in. A
        later record of the key, through another partition, must not be undone.
        """
        newest = intake.unpack_state(self._table.change(partition).agent_state).of(of.topic).time
        return KeyedRecord(partition, end - 1, newest, self._incarnation(of), None, inferred=True)

    async def _note_compared(self, owned: Owned, of: Input) -> None:
        """Note that the rows have all keys of the source partition and no others."""
        change = self._table.change(owned.partition)
        state = intake.unpack_state(change.agent_state)
        state.of(of.topic).compared = self._now()
        change.agent_state = intake.pack(state)
        await self._runner.write(owned, Outgoing(self._shared.settings.partitions), self._table, change)


class IntakePart(OwnPart):
    """Records of an input that are passed on together."""

    def __init__(self, run: Owned, change: Change, shared: Shared) -> None:
        super().__init__(run, change, shared)
        self._inputs = {self._topics.named(each.topic).name: each for each in INPUTS}
        self._state = intake.unpack_state(change.agent_state)
        self._size = 0

    def fits(self, message: KafkaRecord) -> bool:
        """Whether one more row fits."""
        self._size += len(message.key or b"") + ROW_BYTES
        return self._size <= self.change.room

    def take(self, message: KafkaRecord) -> None:
        """Pass on a record, and note its key, unless it must be refused."""
        of = self._inputs[message.topic]
        reached = self._state.of(of.topic)
        # Clocks of brokers differ: when another broker takes a partition over, its time may fall back.
        reached.time = max(reached.time, append_time(message))
        try:
            of.check(message.key, message.value, self._settings)
        except RefusedError as error:
            self._refuse(message, error)
        else:
            self._pass_on(message, of, reached.time)

    def _refuse(self, record: KafkaRecord, error: RefusedError) -> None:
        letter = dead_letter(record, error, self.incarnation)
        self.outgoing.add_to_partition(self._topics.dead_letters.name, self.partition, letter)
        metrics.DEAD_LETTERS.labels(error.reason).inc()

    def _pass_on(self, record: KafkaRecord, of: Input, when: int) -> None:
        key = record.key or b""
        keyed = KeyedRecord(record.partition, record.offset, when, self.incarnation, record.value)
        send(self.outgoing, self._topics, of, record.partition, key, encode(keyed))
        row_key = intake.row_key(of.topic, key)
        if record.value is not None:
            self.change.put_row(
                row_key, intake.pack(IntakeRow(offset=record.offset, incarnation=self.incarnation))
            )
        elif self.change.get(row_key) is not None:
            self.change.delete_row(row_key)

    def close(self) -> None:
        """Put into the change how far the intake has come."""
        self.change.agent_state = intake.pack(self._state)


def send(outgoing: Outgoing, topics: Topics, of: Input, partition: int, key: bytes, value: bytes) -> None:
    """Add a packed keyed record to the partition of its key, or to that of all keys together.

    Parameters
    ----------
    outgoing, topics
        Records to send, and the topics of the deployment.
    of, partition, key
        Input and source partition of the record, and its own key.
    value
        The packed keyed record.
    """
    topic = topics.named(of.keyed)
    record = OutgoingRecord(keyed_key(partition, key), value)
    outgoing.add_to_partition(topic.name, target_of(of, key, topic.partitions), record)


def target_of(of: Input, key: bytes, partitions: int) -> int:
    """Return the partition of the keyed records of a key."""
    return FIRST_PARTITION if of.together else partition_of(key, partitions)


def append_time(record: KafkaRecord) -> int:
    """Return when Kafka appended a record, in ms since 1970; far before that where a producer chose the time."""
    return int(record.timestamp) - (0 if record.timestamp_type == KAFKAS_TIME else PRODUCERS_TIME_MS)
