"""ingest: checks events, resolves users, drops duplicates; what it can not use goes to the dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import faust

from afresh.state.identities import Identities
from afresh.state.keys import key_of
from afresh.state.records import Interaction
from afresh.state.rows.received import ReceivedWindow
from afresh.state.store.tables import PerAssignment, RunTable
from afresh.streams import metrics
from afresh.streams.checks import RefusedError, check_event, milliseconds
from afresh.streams.dead_letters import dead_letter
from afresh.streams.kafka.sender import Outgoing
from afresh.streams.messages import Event, encode
from afresh.streams.runs.runner import KafkaRecord, Run, Runner
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

RUN_RECORDS = 4096
"""Events handled at a time: their ids fit into the pages of one record batch."""


class Ingest:
    """The agent of ``afresh.events``.

    Parameters
    ----------
    runner, table
        What feeds the agent, and the table of event ids received.
    identities
        Links between users of platforms.
    settings, topics
        Limits, and names of topics.
    """

    def __init__(
        self,
        runner: Runner,
        table: RunTable,
        identities: Identities,
        settings: Settings,
        topics: Topics,
    ) -> None:
        self._runner = runner
        self._table = table
        self._identities = identities
        self._settings = settings
        self._topics = topics
        self._windows = PerAssignment(table, lambda rows: ReceivedWindow(rows, settings.deduplication_window))

    async def agent(self, stream: faust.StreamT[object]) -> None:
        """Take in runs for ever."""
        await self._runner.drive(stream, self.process)

    async def process(self, run: Run) -> None:
        """Turn a run of events into interactions."""
        for start in range(0, len(run.records), RUN_RECORDS):
            await self._process_part(run, run.records[start : start + RUN_RECORDS])
        run.done()

    async def _process_part(self, run: Run, records: Sequence[KafkaRecord]) -> None:
        change = self._table.change(run.partition)
        window = self._windows[run.partition]
        before = window.count
        outgoing = Outgoing(self._settings.partitions)
        outcomes: Counter[tuple[str, str, str]] = Counter()
        for record in records:
            if not change.marks.count(record.topic, record.partition, record.offset):
                metrics.SKIPPED.labels("ingest").inc()
                continue
            try:
                event = check_event(record.value, record.timestamp, self._settings)
            except RefusedError as error:
                outgoing.add_to(self._topics.dead_letters.name, run.partition, dead_letter(record, error))
                metrics.DEAD_LETTERS.labels(error.reason).inc()
                outcomes["none", "none", "refused"] += 1
                continue
            if not window.add(key_of(event.id)):
                outcomes[event.type, event.platform, "duplicate"] += 1
                continue
            interaction = interaction_of(
                event, self._identities, record.partition, record.offset, record.timestamp
            )
            outgoing.add(self._topics.interactions.name, interaction.user.encode(), encode(interaction))
            outcomes[event.type, event.platform, "accepted"] += 1
        window.write(change, before)
        await self._runner.write(run, outgoing, self._table, change)
        for (kind, platform, outcome), count in outcomes.items():
            metrics.EVENTS.labels(kind, metrics.platform_label(platform), outcome).inc(count)


def interaction_of(
    event: Event, identities: Identities, source: int, offset: int, received: int
) -> Interaction:
    """Make the interaction of an event: its user resolved; ``received`` is when Kafka took it, in ms."""
    return Interaction(
        source=source,
        offset=offset,
        received=received,
        event=event.id,
        type=event.type,
        time=milliseconds(event.time),
        user=identities.resolve(event.platform, event.user),
        item=event.item,
        platform=event.platform,
        domain=event.domain,
        value=event.value,
        session=event.session,
        context=event.context,
    )
