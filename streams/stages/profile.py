"""profile: folds interactions into user rows, emits an example for every item taken, marks users for a new list."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import faust

from afresh.state.records import POSITIVE, Interaction
from afresh.state.rows import users
from afresh.state.rows.users import UserRow
from afresh.state.store.changes import CHANGE_BYTES, Change
from afresh.streams import metrics
from afresh.streams.kafka.sender import Outgoing
from afresh.streams.kafka.tables import RunTable
from afresh.streams.messages import COMMAND_KEY, ROLL_BACK, command_decoder, encode, interaction_decoder
from afresh.streams.runs.runner import KafkaRecord, Run, Runner
from afresh.streams.serving.recommend import Recommender
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

logger = logging.getLogger(__name__)

EVENT_GROWTH_BYTES = 64
"""What one event can add to a row, at most, besides the names that it carries."""


class Profile:
    """The agent of ``afresh.interactions``.

    Parameters
    ----------
    runner, table
        What feeds the agent, and the table of users.
    recommender
        Who makes the lists, and learns from how they were received.
    settings, topics
        Limits, and names of topics.
    """

    def __init__(
        self, runner: Runner, table: RunTable, recommender: Recommender, settings: Settings, topics: Topics
    ) -> None:
        self._runner = runner
        self._table = table
        self._recommender = recommender
        self._settings = settings
        self._topics = topics

    async def agent(self, stream: faust.StreamT[object]) -> None:
        """Take in runs for ever."""
        await self._runner.drive(stream, self.process)

    async def process(self, run: Run) -> None:
        """Fold a run in, in parts whose rows fit into one record batch; the list-maker says when the run is done."""
        position = 0
        while position < len(run.records):
            await self._recommender.wait_for_room()
            change = self._table.change(run.partition)
            part = Part(change, run.partition, self._recommender, self._settings, self._topics)
            position = part.fold(run.records, position)
            part.finish()
            await self._runner.write(run, part.outgoing, self._table, change)
            self._recommender.mark(run.partition, change.stage, part.received)
        await self._recommender.finish(run)


class Part:
    """Interactions folded in together."""

    def __init__(
        self, change: Change, partition: int, recommender: Recommender, settings: Settings, topics: Topics
    ) -> None:
        self.outgoing = Outgoing(settings.partitions)
        self.received: dict[str, int] = {}
        self._change = change
        self._partition = partition
        self._topics = topics
        self._judge = recommender.judge(change.stage)
        self._rows: dict[str, UserRow] = {}
        self._size = 0

    def fold(self, records: Sequence[KafkaRecord], position: int) -> int:
        """Fold in records from ``position`` on, as many as fit; return the position after them."""
        events = self._topics.events.name
        for place in range(position, len(records)):
            record = records[place]
            if record.key == COMMAND_KEY:
                self._obey(record)
                continue
            interaction = interaction_decoder.decode(record.value)
            row = self._row(interaction.user, EVENT_GROWTH_BYTES + len(record.value))
            if row is None:
                return place
            if self._change.marks.count_offset(events, interaction.source, interaction.offset):
                self._take(row, interaction, record.offset)
            else:
                metrics.SKIPPED.labels("profile").inc()
        return len(records)

    def _obey(self, record: KafkaRecord) -> None:
        """Obey a command; it is counted by its own place, for it was made from no other record."""
        if not self._change.marks.count_offset(
            self._topics.interactions.name, self._partition, record.offset
        ):
            metrics.SKIPPED.labels("profile").inc()
            return
        command = command_decoder.decode(record.value)
        if command.name == ROLL_BACK:
            self._judge.roll_back(command.time)
        else:
            logger.warning("The command %r is unknown to this version and is passed over", command.name)

    def _row(self, user: str, growth: int) -> UserRow | None:
        """Row of a user, or None when no more fits into this part."""
        row = self._rows.get(user)
        packed = self._change.get(user.encode()) if row is None else None
        self._size += growth
        if row is None:
            self._size += len(packed) if packed else 0
        if self._rows and self._size > CHANGE_BYTES:
            return None
        if row is None:
            row = self._rows[user] = users.unpack(packed)
        return row

    def _take(self, row: UserRow, interaction: Interaction, offset: int) -> None:
        if row.knows(users.packed_key(interaction.event)):
            metrics.SKIPPED.labels("profile").inc()
            return
        user_took, unknown = row.taken, not row.revision
        example = users.fold(row, interaction, self._partition, offset)
        if example is not None:
            self._judge.taken(interaction, user_took, unknown=unknown)
            self.outgoing.add_keyed(self._topics.examples.name, interaction.item.encode(), encode(example))
        elif interaction.type in POSITIVE:
            metrics.NOT_LEARNED.inc()
        self.received[interaction.user] = interaction.received

    def finish(self) -> None:
        """Put the rows, and what the judge has learned, into the change."""
        for user in self.received:
            self._change.put_row(user.encode(), users.pack(self._rows[user]))
        self._change.stage = self._judge.finish()
