"""ingest: checks events, resolves users, drops duplicates; what it can not use goes to the dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

import faust
import msgspec

from afresh.state.identities import Identities
from afresh.state.keys import key_of
from afresh.state.records import Interaction
from afresh.state.rows.received import ReceivedWindow
from afresh.state.store.changes import PerAssignment
from afresh.streams import metrics
from afresh.streams.kafka.sender import Outgoing, Record
from afresh.streams.kafka.tables import RunTable
from afresh.streams.messages import EVENT_VERSION, Event, Item, encode, event_decoder
from afresh.streams.runs.runner import KafkaRecord, Run, Runner
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

T = TypeVar("T")
V = TypeVar("V", Event, Item)

EARLIEST_MS = 631_152_000_000
"""1990-01-01: an older time is a unit or a clock gone wrong."""

RUN_RECORDS = 4096
"""Events handled at a time: their ids fit into the pages of one record batch."""


class RefusedError(ValueError):
    """A record can not be used; ``reason`` is a short word for metrics, the message says what is wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


KEPT_BYTES = 2_000_000
"""Of the key and of the value of a dead letter: what came compressed may be larger than any topic takes."""


def dead_letter(record: KafkaRecord, error: RefusedError) -> Record:
    """Copy of a record for the dead letters: its bytes untouched, the reason in headers."""
    headers = [
        ("reason", error.reason.encode()),
        ("detail", str(error)[:1024].encode("utf-8", "replace")),
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
        ("time", str(record.timestamp).encode()),
    ]
    key, value = record.key, record.value or b""
    return Record(key and key[:KEPT_BYTES], value[:KEPT_BYTES], headers)


def milliseconds(when: datetime | int) -> int:
    """Time in ms since 1970."""
    return when if isinstance(when, int) else int(when.timestamp() * 1000)


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
            if not change.marks.count_offset(record.topic, record.partition, record.offset):
                metrics.SKIPPED.labels("ingest").inc()
                continue
            try:
                event = check(record.value, record.timestamp, self._settings)
            except RefusedError as error:
                outgoing.add_to_partition(
                    self._topics.dead_letters.name, run.partition, dead_letter(record, error)
                )
                metrics.DEAD_LETTERS.labels(error.reason).inc()
                outcomes["none", "none", "refused"] += 1
                continue
            if not window.add(key_of(event.id)):
                outcomes[event.type, event.platform, "duplicate"] += 1
                continue
            interaction = interaction_of(
                event, self._identities, record.partition, record.offset, record.timestamp
            )
            outgoing.add_keyed(self._topics.interactions.name, interaction.user.encode(), encode(interaction))
            outcomes[event.type, event.platform, "accepted"] += 1
        window.write(change, before)
        await self._runner.write(run, outgoing, self._table, change)
        for (kind, platform, outcome), count in outcomes.items():
            metrics.EVENTS.labels(kind, metrics.platform_label(platform), outcome).inc(count)


def check(value: bytes | None, received: int, settings: Settings) -> Event:
    """Decode an event and check it.

    Parameters
    ----------
    value
        The record's value.
    received
        When Kafka took it, in ms. Not our own clock: a run worked on again after a crash would then be refused
        another way than the first time.
    settings
        Limits.

    Raises
    ------
    RefusedError
        When the event can not be used.
    """
    if value is None:
        raise RefusedError("malformed", "An event has no value.")
    event = decode_known(event_decoder, value, "event", EVENT_VERSION, settings.text_limit_bytes)
    latest = received + int(settings.clock_ahead_hours * 3_600_000)
    if not EARLIEST_MS <= milliseconds(event.time) <= latest:
        raise RefusedError("time", f"The time {event.time} is before 1990 or too far ahead.")
    return event


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


def decode(decoder: msgspec.json.Decoder[T], value: bytes) -> T:
    """Decode JSON from a stranger.

    Raises
    ------
    RefusedError
        When it is not JSON (``malformed``) or not what the schema says (``invalid``).
    """
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise RefusedError("invalid", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("malformed", str(error)) from error


def decode_known(decoder: msgspec.json.Decoder[V], value: bytes, noun: str, version: int, limit: int) -> V:
    """Decode JSON from a stranger, of a size and a version that are taken in; ``noun`` says what it is.

    Raises
    ------
    RefusedError
        As of ``decode``, or when it is larger than ``limit`` bytes or of another version.
    """
    if len(value) > limit:
        raise RefusedError(
            "too_large", f"An {noun} has {len(value):,} bytes; at most {limit:,} are taken in."
        )
    found = decode(decoder, value)
    if found.version != version:
        raise RefusedError("version", f"Version {found.version} of {noun}s is not known; send {version}.")
    return found
