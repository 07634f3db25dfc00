"""weigh: learns the weights of the fusion from what all judges say, once for everyone.

The topic has as many partitions as all others, and all its records are in the first: one worker at a time learns, the
owner of that partition. Every worker follows the row that it writes.
"""

from __future__ import annotations

import logging

from afresh.state.judged import examples as judged
from afresh.state.judged import kept
from afresh.state.judged.examples import JudgedExamples
from afresh.state.judged.weighing import Weighing
from afresh.state.rows import weights
from afresh.state.store.changes import Change
from afresh.state.store.marks import UNKNOWN
from afresh.streams.messages import (
    COMMAND_KEY,
    INHERITED_KEY,
    ROLL_BACK,
    Command,
    Inherited,
    command_decoder,
    inherited_decoder,
)
from afresh.streams.runs.run import KafkaRecord, Owned, Run, place_of
from afresh.streams.stages.prepared import PreparedStage
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import Part, Source
from afresh.streams.topics import FIRST_PARTITION

logger = logging.getLogger(__name__)

PART_RECORDS = 8
"""Most records in a part: a part is taken in within some tens of milliseconds."""


Told = tuple[KafkaRecord, JudgedExamples | Inherited | Command]
"""A record and what it says."""


class Weigh(PreparedStage["WeighPart"]):
    """The agent of ``afresh.judged``."""

    def begin(self, run: Run, change: Change) -> WeighPart:
        """Begin a part with all that was learned before."""
        return WeighPart(run, change, self._shared)

    async def prepare(self, owned: Owned) -> None:
        """Show what was learned before."""
        if owned.partition == FIRST_PARTITION:
            self._shared.recommender.live.see(kept.unpack(self._table.change(FIRST_PARTITION).agent_state))

    def written(self, part: WeighPart) -> None:
        """Show what was learned."""
        self._shared.recommender.live.see(part.weighing.kept)


class WeighPart(Part[Told]):
    """Records that are learned from together.

    Attributes
    ----------
    weighing
        Counts the examples, and learns.
    """

    def __init__(self, run: Owned, change: Change, shared: Shared) -> None:
        super().__init__(run, change, shared)
        self.weighing = Weighing(kept.unpack(change.agent_state), shared.settings.snapshot_minutes)
        self._records = 0
        self._counted = -1

    def read(self, record: KafkaRecord) -> Told:
        """Decode a record by its key."""
        value = record.value
        if record.key == COMMAND_KEY:
            return record, command_decoder.decode(value)
        if record.key == INHERITED_KEY:
            return record, inherited_decoder.decode(value)
        return record, judged.unpack(value)

    def fits(self, message: Told) -> bool:
        """Whether the part is still short: what it writes is always of one size."""
        self._records += 1
        return self._records <= PART_RECORDS

    def source(self, message: Told) -> Source:
        """Return the place of the newest example, of what is inherited, or of a command itself.

        A repeated record may hold other examples than before, and more: its examples up to the mark are left out.
        """
        record, told = message
        if isinstance(told, Command):
            return record.topic, self.incarnation, record.partition, record.offset
        if isinstance(told, Inherited):
            return self._topics.users.name, UNKNOWN, told.partition, 0
        place = self._topics.interactions.name, told.incarnation, told.source
        self._counted = self.change.marks.highest(*place)
        return *place, int(told.places().max(initial=-1))

    def take(self, message: Told) -> None:
        """Learn from examples, take over what is inherited, or carry out a command."""
        record, told = message
        if isinstance(told, Command):
            self._obey(told, record)
        elif isinstance(told, Inherited):
            self.weighing.inherit(told.kept, told.partition)
        else:
            self.weighing.take(told, self._counted)

    def _obey(self, command: Command, record: KafkaRecord) -> None:
        if command.name == ROLL_BACK:
            self.weighing.roll_back(command.time)
        else:
            logger.warning(
                "This version does not know the command %r and ignores it",
                command.name,
                extra=place_of(record, "weigh"),
            )

    def close(self) -> None:
        """Put what was learned into the change, and the weights into the row that every worker follows."""
        learned = self.weighing.kept
        self.change.agent_state = learned.pack()
        self.change.put_row(weights.WEIGHTS_KEY, weights.pack(learned.fusion.weights(), learned.received))
