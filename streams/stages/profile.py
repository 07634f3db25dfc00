"""profile: folds interactions into user rows, emits an example for every item taken, and requests new lists."""

from __future__ import annotations

import logging

from afresh.state.records import POSITIVE, Interaction
from afresh.state.rows import users
from afresh.state.rows.users import UserRow
from afresh.state.store.changes import Change
from afresh.streams import metrics
from afresh.streams.kafka.sender import Outgoing, OutgoingRecord
from afresh.streams.kafka.tables import RunTable
from afresh.streams.messages import (
    COMMAND_KEY,
    EXAMPLES_KEY,
    INHERITED_KEY,
    Inherited,
    command_decoder,
    encode,
    interaction_decoder,
)
from afresh.streams.runs.run import KafkaRecord, Owned, Run, place_of
from afresh.streams.runs.runner import Runner
from afresh.streams.serving.judge import Judge
from afresh.streams.stages.prepared import PreparedStage
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import Part, Source
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


Told = tuple[KafkaRecord, Interaction | None]
"""A record and its decoded interaction; None for a command."""


class ProfilePart(Part[Told]):
    """Interactions that are folded into user rows together, and the commands among them.

    Attributes
    ----------
    judge
        Judge that compares what users took with the lists served.
    received
        When Kafka took the newest event of each user whose row has changed, in ms since 1970.
    """

    def __init__(self, run: Run, change: Change, judge: Judge, shared: Shared) -> None:
        super().__init__(run, change, shared)
        self.judge = judge
        self.received: dict[str, int] = {}
        self._events = shared.topics.events.name
        self._interactions = shared.topics.interactions.name
        self._rows: dict[str, UserRow] = {}
        self._size = 0

    def read(self, record: KafkaRecord) -> Told:
        """Decode an interaction. A command is decoded later, and only if it comes for the first time."""
        return record, (None if record.key == COMMAND_KEY else interaction_decoder.decode(record.value))

    def fits(self, message: Told) -> bool:
        """Whether the rows of all users still fit after the events have been folded in."""
        record, interaction = message
        if interaction is not None:
            self._size += EVENT_GROWTH_BYTES + len(record.value)
            if interaction.user not in self._rows:
                packed = self.change.get(interaction.user.encode())
                self._size += len(packed) if packed else 0
                self._rows[interaction.user] = users.unpack(packed)
        return self._size <= self.change.room

    def source(self, message: Told) -> Source:
        """Return the place of an interaction's event, or of the record itself if it is a command."""
        record, interaction = message
        if interaction is None:
            return self._interactions, self.incarnation, self.partition, record.offset
        return self._events, interaction.incarnation, interaction.source, interaction.offset

    def take(self, message: Told) -> None:
        """Fold an interaction into its user's row; ignore a command."""
        record, interaction = message
        if interaction is None:
            name = command_decoder.decode(record.value).name
            logger.warning(
                "This version obeys no command %r among the interactions, and ignores it",
                name,
                extra=place_of(record, "profile"),
            )
        else:
            self._fold(self._rows[interaction.user], interaction, record.offset)

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
            self.change.put_row(user.encode(), users.pack(self._rows[user]))
        for packed in self.judge.collected.records(self.incarnation):
            self.outgoing.add_to_partition(
                self._topics.judged.name, FIRST_PARTITION, OutgoingRecord(EXAMPLES_KEY, packed)
            )


class FollowedProfilePart(ProfilePart):
    """Interactions of which some are followed."""

    def __init__(self, run: Run, change: Change, judge: Judge, shared: Shared, followed: Followed) -> None:
        super().__init__(run, change, judge, shared)
        self.followed = followed

    def take(self, message: Told) -> None:
        """Fold an interaction into its user's row, and note its event."""
        super().take(message)
        _, interaction = message
        if interaction is not None:
            self.followed.note(interaction.event, interaction.source, interaction.offset)
