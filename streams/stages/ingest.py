"""ingest: checks events, resolves users, drops duplicates; what it can not use goes to the dead letters."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TypeVar

import msgspec

from afresh.state.identities import Identities
from afresh.state.keys import key_of
from afresh.state.records import Interaction
from afresh.state.rows.received import ReceivedWindow
from afresh.state.store.tables import Change, PerAssignment, RunTable
from afresh.streams import metrics
from afresh.streams.kafka.sender import Record
from afresh.streams.messages import EVENT_VERSION, Event, Item, encode, event_decoder
from afresh.streams.runs.run import KafkaRecord, Run
from afresh.streams.runs.runner import Runner
from afresh.streams.settings import Settings
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import OwnPart, Stage

T = TypeVar("T")
V = TypeVar("V", Event, Item)

EARLIEST_MS = 631_152_000_000
"""1990-01-01: an older time is a unit or a clock gone wrong."""

PART_RECORDS = 4096
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


class Ingest(Stage["IngestPart"]):
    """The agent of ``afresh.events``."""

    def __init__(self, runner: Runner, table: RunTable, shared: Shared) -> None:
        super().__init__(runner, table, shared)
        size = shared.settings.deduplication_window
        self._windows = PerAssignment(table, lambda partition: ReceivedWindow(table.rows[partition], size))

    def begin(self, run: Run, change: Change) -> IngestPart:
        """Begin a part with the ids received in its partition."""
        return IngestPart(run, change, self._windows[run.partition], self._shared)

    def written(self, part: IngestPart) -> None:
        """Count what became of the events."""
        for (kind, platform, outcome), count in part.outcomes.items():
            metrics.EVENTS.labels(kind, metrics.platform_label(platform), outcome).inc(count)


class IngestPart(OwnPart):
    """Events that become interactions together.

    Attributes
    ----------
    outcomes
        How many there were of each type, platform and outcome.
    """

    def __init__(self, run: Run, change: Change, window: ReceivedWindow, shared: Shared) -> None:
        super().__init__(run, change, shared)
        self.outcomes: Counter[tuple[str, str, str]] = Counter()
        self._window = window
        self._before = window.remembered
        self._identities = shared.identities
        self._records = 0

    def fits(self, message: KafkaRecord) -> bool:
        """Whether the ids of all events still fit into the pages of one record batch."""
        self._records += 1
        return self._records <= PART_RECORDS

    def take(self, message: KafkaRecord) -> None:
        """Make an interaction of an event, unless it can not be used or was received before."""
        try:
            event = check(message.value, message.timestamp, self._settings)
        except RefusedError as error:
            self.outgoing.add_to(self._topics.dead_letters.name, self.partition, dead_letter(message, error))
            metrics.DEAD_LETTERS.labels(error.reason).inc()
            self.outcomes["none", "none", "refused"] += 1
            return
        if not self._window.remember(key_of(event.id)):
            self.outcomes[event.type, event.platform, "duplicate"] += 1
            return
        interaction = interaction_of(
            event, self._identities, message.partition, message.offset, message.timestamp
        )
        self.outgoing.add(self._topics.interactions.name, interaction.user.encode(), encode(interaction))
        self.outcomes[event.type, event.platform, "accepted"] += 1

    def close(self) -> None:
        """Write the ids received."""
        self._window.write(self.change, self._before)


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
