"""ingest: checks events and drops duplicates; events that it cannot use become dead letters."""

from __future__ import annotations

from collections import Counter

from afresh.state.keys import key_of
from afresh.state.records import Interaction
from afresh.state.rows import clocks
from afresh.state.rows.clocks import Clocks
from afresh.state.rows.received import ReceivedWindow
from afresh.state.store.changes import Change, PerAssignment
from afresh.state.store.marks import UNKNOWN
from afresh.streams import metrics
from afresh.streams.checks import RefusedError, check_time, decode_event
from afresh.streams.dead_letters import dead_letter
from afresh.streams.kafka.tables import RunTable
from afresh.streams.messages import Event, encode
from afresh.streams.runs.run import KafkaRecord, Run
from afresh.streams.runs.runner import Runner
from afresh.streams.settings import Settings
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import OwnPart, Stage
from afresh.streams.times import milliseconds
from afresh.streams.traces import INGEST, Followed

PART_RECORDS = 4096
"""Largest number of events in a part: the pages with their ids fit into one record batch."""


class Ingest(Stage["IngestPart"]):
    """The agent of ``afresh.events``."""

    def __init__(self, runner: Runner, table: RunTable, shared: Shared) -> None:
        super().__init__(runner, table, shared)
        size = shared.settings.deduplication_window
        self._windows = PerAssignment(table, lambda partition: ReceivedWindow(table.rows[partition], size))

    def begin(self, run: Run, change: Change) -> IngestPart:
        """Begin a part, given the event ids that its partition remembers."""
        window, traces = self._windows[run.partition], self._shared.traces
        known = self._clocks(run, change)
        if traces is None:
            return IngestPart(run, change, window, known, self._shared)
        return FollowedIngestPart(run, change, window, known, self._shared, traces.followed(INGEST))

    def _clocks(self, run: Run, change: Change) -> Clocks:
        incarnation = self._shared.incarnations.of(run.topic)
        last = change.marks.highest(run.topic, incarnation, run.partition)
        return clocks.gone_on(change.agent_state, incarnation, last, run.records[0].offset)

    def written(self, part: IngestPart) -> None:
        """Count the outcomes of the events in the metrics."""
        if isinstance(part, FollowedIngestPart):
            part.followed.written()
        for (kind, platform, outcome), count in part.outcomes.items():
            metrics.EVENTS.labels(kind, metrics.platform_label(platform), outcome).inc(count)
        for platform, clock in part.clocks.platforms.items():
            metrics.CLOCK_OFFSET.labels(metrics.platform_label(platform)).set(clock.offset)


class IngestPart(OwnPart):
    """Events that are turned into interactions together.

    Attributes
    ----------
    outcomes
        Number of events by type, platform and outcome.
    clocks
        The clocks of platforms, as the events show them.
    """

    def __init__(
        self, run: Run, change: Change, window: ReceivedWindow, known: Clocks, shared: Shared
    ) -> None:
        super().__init__(run, change, shared)
        self.clocks = known
        self.outcomes: Counter[tuple[str, str, str]] = Counter()
        self._window = window
        self._before = window.remembered
        self._records = 0

    def fits(self, message: KafkaRecord) -> bool:
        """Whether the pages with the ids of all events still fit into one record batch."""
        self._records += 1
        return self._records <= PART_RECORDS

    def take(self, message: KafkaRecord) -> None:
        """Make an interaction from an event, unless the event is unusable or was received before."""
        try:
            event, time = dated(message.value, message.timestamp, self.clocks, self._settings)
        except RefusedError as error:
            self.outgoing.add_to_partition(
                self._topics.dead_letters.name,
                self.partition,
                dead_letter(message, error, self.incarnation),
            )
            metrics.DEAD_LETTERS.labels(error.reason).inc()
            self.outcomes["none", "none", "refused"] += 1
            return
        if not self._window.remember(key_of(event.id)):
            self.outcomes[event.type, event.platform, "duplicate"] += 1
            return
        self.accept(event, time, message)

    def accept(self, event: Event, time: int, message: KafkaRecord) -> None:
        """Make an interaction from an event that comes for the first time."""
        interaction = interaction_of(
            event, time, message.partition, message.offset, message.timestamp, self.incarnation
        )
        self.outgoing.add_keyed(
            self._topics.interactions.name, interaction.user.encode(), encode(interaction)
        )
        self.outcomes[event.type, event.platform, "accepted"] += 1

    def close(self) -> None:
        """Put the ids received and the clocks into the change."""
        self._window.write(self.change, self._before)
        self.clocks.last = self.change.marks.highest(
            self._topics.events.name, self.incarnation, self.partition
        )
        self.change.agent_state = clocks.pack(self.clocks)


class FollowedIngestPart(IngestPart):
    """Events of which some are followed."""

    def __init__(
        self,
        run: Run,
        change: Change,
        window: ReceivedWindow,
        known: Clocks,
        shared: Shared,
        followed: Followed,
    ) -> None:
        super().__init__(run, change, window, known, shared)
        self.followed = followed

    def accept(self, event: Event, time: int, message: KafkaRecord) -> None:
        """Make an interaction from an event, and note the event."""
        super().accept(event, time, message)
        self.followed.note(event.id, message.partition, message.offset)


def dated(value: bytes | None, received: int, known: Clocks, settings: Settings) -> tuple[Event, int]:
    """Decode an event and check it; return it with its time by a right clock, in ms.

    An event that is refused because its platform's clock is ahead counts for the clock all the same. So the platform's
    events come through once its offset is known.

    Parameters
    ----------
    value, received
        Value of the record, and when Kafka took it, in ms since 1970.
    known
        The clocks of platforms; they note the event.
    settings
        Settings with the limits.

    Raises
    ------
    RefusedError
        When the event cannot be used.
    """
    event = decode_event(value, settings)
    time = known.corrected(event.platform, key_of(event.id), milliseconds(event.time), received)
    check_time(event, time, received, settings)
    return event, time


def interaction_of(
    event: Event,
    time: int,
    source: int,
    offset: int,
    received: int,
    incarnation: int = UNKNOWN,
) -> Interaction:
    """Make an interaction from an event.

    Parameters
    ----------
    event
        The event.
    time
        Its time by a right clock, in ms since 1970.
    source, offset
        Partition and offset of the event.
    received
        When Kafka took the event, in ms since 1970.
    incarnation
        Incarnation of the topic of events.
    """
    return Interaction(
        source=source,
        offset=offset,
        received=received,
        event=event.id,
        type=event.type,
        time=time,
        user=f"{event.platform}:{event.user}",
        item=event.item,
        platform=event.platform,
        domain=event.domain,
        value=event.value,
        session=event.session,
        context=event.context,
        incarnation=incarnation,
    )
