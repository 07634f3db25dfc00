"""profile: folds interactions into user rows, emits an example for every item taken, and requests new lists."""

from __future__ import annotations

import logging
from functools import partial

from afresh.state.records import POSITIVE, Interaction, Move, Transfer
from afresh.state.rows import users
from afresh.state.rows.moving import Holder, Moving, given_to
from afresh.state.rows.users import UserRow
from afresh.state.store.changes import Change
from afresh.streams import metrics
from afresh.streams.kafka.sender import Outgoing, OutgoingRecord
from afresh.streams.kafka.tables import RunTable
from afresh.streams.messages import (
    COMMAND_KEY,
    EXAMPLES_KEY,
    INHERITED_KEY,
    Command,
    Inherited,
    decode_command,
    encode,
    interaction_decoder,
)
from afresh.streams.runs.run import KafkaRecord, Owned, Run, place_of
from afresh.streams.runs.runner import Runner
from afresh.streams.serving.judge import Judge
from afresh.streams.stages.prepared import PreparedStage
from afresh.streams.stages.sent_on import SentOn
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import Part, Source
from afresh.streams.stages.user_rows import UserRows
from afresh.streams.topics import FIRST_PARTITION
from afresh.streams.traces import PROFILE, Followed

logger = logging.getLogger(__name__)

EVENT_GROWTH_BYTES = 64
"""Upper bound on what one event adds to a packed row, in bytes, besides the names in the event."""


class Profile(PreparedStage["ProfilePart"]):
    """The agent of ``afresh.interactions``."""

    def __init__(self, runner: Runner, table: RunTable, shared: Shared) -> None:
        super().__init__(runner, table, shared)
        self._recommender = shared.recommender

    def begin(self, run: Run, change: Change) -> ProfilePart:
        """Begin a part with a judge for its partition."""
        judge, traces = self._recommender.judge(run.partition), self._shared.traces
        if traces is None:
            return ProfilePart(run, change, judge, self._shared)
        return FollowedProfilePart(run, change, judge, self._shared, traces.followed(PROFILE))

    async def prepare(self, owned: Owned) -> None:
        """Hand over the weights that an earlier version learned in this partition alone."""
        change = self._table.change(owned.partition)
        if change.agent_state:
            outgoing = Outgoing(self._shared.settings.partitions)
            record = OutgoingRecord(INHERITED_KEY, encode(Inherited(owned.partition, change.agent_state)))
            outgoing.add_to_partition(self._shared.topics.judged.name, FIRST_PARTITION, record)
            change.agent_state = b""
            await self._runner.write(owned, outgoing, self._table, change)

    async def wait_for_room(self) -> None:
        """Return once enough lists are made that more users may wait for one."""
        await self._recommender.requests.wait_for_room()

    def written(self, part: ProfilePart) -> None:
        """Request new lists for the users whose rows have changed."""
        if isinstance(part, FollowedProfilePart):
            part.followed.written()
        self._recommender.weights.await_answer(part.judge.received)
        self._recommender.request(part.partition, part.received)

    async def end(self, run: Run) -> None:
        """Allow the commit of a run once the requested lists are in Redis."""
        await self._recommender.requests.commit_once_served(run)


Told = tuple[KafkaRecord, Interaction | Command | Move | Transfer]
"""A record and what it says."""


class ProfilePart(Part[Told]):
    """Interactions that are folded into user rows together, and the commands among them.

    Attributes
    ----------
    judge
        Judge that compares what users took with the lists served.
    received
        When Kafka took the newest event of each user who needs a new list, in ms since 1970; 0 if only a move needs it.
    """

    def __init__(self, run: Run, change: Change, judge: Judge, shared: Shared) -> None:
        super().__init__(run, change, shared)
        self.judge = judge
        self.received: dict[str, int] = {}
        self._events = shared.topics.events.name
        self._interactions = shared.topics.interactions.name
        self._rows = UserRows(change, run.partition, shared.topics.interactions.partitions)
        self._size = 0
        self._holder = Holder("", 0)
        self._sent = SentOn(self.partition, shared.topics.interactions, self.outgoing)
        self._moving = Moving(self._rows.row, self._sent.transfer, partial(note_moved, self.received))

    def read(self, record: KafkaRecord) -> Told:
        """Decode an interaction or a command."""
        if record.key == COMMAND_KEY:
            return record, decode_command(record.value)
        return record, interaction_decoder.decode(record.value)

    def fits(self, message: Told) -> bool:
        """Whether the rows of all users still fit after the events have been folded in."""
        record, told = message
        self._size += EVENT_GROWTH_BYTES + len(record.value)
        match told:
            case Interaction():
                self._holder = self._moving.find(told)
            case Move():
                self._rows.row(told.row)
                self._moving.follow(told.to, told.account, told.number)
            case Transfer():
                self._moving.follow(told.to, told.account, told.way.number)
        return self._size + self._rows.size <= self.change.room

    def source(self, message: Told) -> Source:
        """Return the place of an interaction's event, of what was sent on, or of a command itself."""
        record, told = message
        if isinstance(told, Interaction) and told.way is None:
            return self._events, told.incarnation, told.source, told.offset
        if isinstance(told, Interaction | Transfer) and told.way is not None:
            return self._interactions, self.incarnation, told.way.partition, told.way.place
        return self._interactions, self.incarnation, self.partition, record.offset

    def take(self, message: Told) -> None:
        """Fold an interaction into the row of its user, or obey a command."""
        record, told = message
        self._sent.begin(record.offset)
        match told:
            case Interaction():
                self._take_interaction(told, record.offset)
            case Move():
                if self._moving.obey(told):
                    metrics.MOVES_OBEYED.labels(told.name).inc()
            case Transfer():
                self._moving.receive(told)
            case Command():
                logger.warning(
                    "This version obeys no command %r among the interactions, and ignores it",
                    told.name,
                    extra=place_of(record, "profile"),
                )

    def _take_interaction(self, interaction: Interaction, offset: int) -> None:
        holder = self._holder
        interaction = given_to(holder.user, interaction)
        row = self._rows.row(holder.user)
        if row is None:
            self._sent.interaction(interaction, holder.number)
        else:
            self._fold(row, interaction, offset)

    def _fold(self, row: UserRow, interaction: Interaction, offset: int) -> None:
        if row.knows(users.packed_key(interaction.event)):
            metrics.SKIPPED.labels("profile").inc()
            return
        user_took, unknown = row.taken, not row.revision
        example = users.fold(row, interaction, self.partition, offset, self.incarnation)
        if example is not None:
            self.judge.taken(interaction, offset, user_took, unknown=unknown)
            self.outgoing.add_keyed(self._topics.examples.name, interaction.item.encode(), encode(example))
        elif interaction.type in POSITIVE:
            metrics.NOT_LEARNED.inc()
        self.received[interaction.user] = interaction.received

    def close(self) -> None:
        """Put the rows into the change, and send what the judge says to the one who learns the weights."""
        for user in self.received:
            self.change.put_row(user.encode(), self._rows.packed(user))
        for packed in self.judge.collected.records(self.incarnation):
            self.outgoing.add_to_partition(
                self._topics.judged.name, FIRST_PARTITION, OutgoingRecord(EXAMPLES_KEY, packed)
            )


def note_moved(received: dict[str, int], user: str) -> None:
    """Note that a move has changed a user's row: by no event that somebody waits for."""
    received.setdefault(user, 0)


class FollowedProfilePart(ProfilePart):
    """Interactions of which some are followed."""

    def __init__(self, run: Run, change: Change, judge: Judge, shared: Shared, followed: Followed) -> None:
        super().__init__(run, change, judge, shared)
        self.followed = followed

    def take(self, message: Told) -> None:
        """Fold an interaction into its user's row, and note its event."""
        super().take(message)
        _, told = message
        if isinstance(told, Interaction):
            self.followed.note(told.event, told.source, told.offset)
