"""Decides what must become of every event: it is refused, dropped as a duplicate, or becomes one interaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import inf
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from xxhash import xxh3_64_intdigest

from afresh.deploy.ledger.reading import Logs, ReadRecord, Rows, agent_state_of
from afresh.deploy.ledger.report import Report
from afresh.state.keys import key_of
from afresh.state.records import Interaction
from afresh.state.rows import clocks
from afresh.state.rows.clocks import FARTHEST_S, Clocks
from afresh.state.store.marks import UNKNOWN
from afresh.streams.checks import RefusedError
from afresh.streams.encodings import BOM
from afresh.streams.generous import EVENTS
from afresh.streams.messages import UNDECODABLE, Event, encode, interaction_decoder
from afresh.streams.settings import Settings
from afresh.streams.stages.ingest import dated, interaction_of
from afresh.streams.topics import Topics

FIELDS_OF_0_1_0 = 13
OF_0_1_0 = bytes([0x90 + FIELDS_OF_0_1_0])
"""First byte of an interaction of 0.1.0: an array of so many fields, without an incarnation."""

PAGE = 256
"""Event keys in one row of the received window."""

Outcomes = dict[str, str]
"""What became of each event, by the event's name: ``counted``, ``duplicates`` or ``refused``."""


class Place(NamedTuple):
    """Partition and offset of a record."""

    partition: int
    offset: int


def usable(record: ReadRecord, known: Clocks, settings: Settings) -> tuple[Event, int] | None:
    """Return the event of a record and its time by a right clock, or None if the record must be refused."""
    try:
        return dated(record.value, record.timestamp, known, settings)
    except RefusedError:
        return None


def noted_since(window: Rows, incarnation: int) -> float:
    """Return the offset after which the clocks of platforms were learned from all events of a partition.

    Parameters
    ----------
    window
        Rows of the received window.
    incarnation
        Incarnation of the topic of events.
    """
    kept = agent_state_of(window)
    known = clocks.unpack(kept)
    return known.since if kept and known.incarnation == incarnation else inf


class Received:
    """The event ids that a partition has taken in, kept in a plain list and a plain dict.

    Parameters
    ----------
    window
        Least number of ids to remember; rounded up to whole pages.
    """

    def __init__(self, window: int) -> None:
        self._pages = -(-window // PAGE)
        self._ids: list[str] = []
        self._newest: dict[str, int] = {}

    def take(self, event: str) -> bool:
        """Take in an id; return False if it is one of the remembered ids."""
        first_remembered = max((len(self._ids) - 1) // PAGE - self._pages + 1, 0) * PAGE
        if self._pages and self._newest.get(event, -1) >= first_remembered:
            return False
        self._newest[event] = len(self._ids)
        self._ids.append(event)
        return True

    def rows(self) -> Rows:
        """Return the rows that the window must have. The row of page n has the key n mod the number of pages."""
        rows: Rows = {}
        last = -(-len(self._ids) // PAGE)
        for number in range(max(0, last - self._pages), last):
            keys = [key_of(event) for event in self._ids[number * PAGE : (number + 1) * PAGE]]
            slot = (number % self._pages).to_bytes(4, "little")
            rows[slot] = np.array([number, *keys], "<u8").tobytes()
        return rows


class ToldUsers:
    """The canonical users that each user of a platform was ever linked to, as 0.1.0 understood links.

    It gave an interaction one of them, which depended on the moment.
    """

    def __init__(self, logs: Logs, topics: Topics) -> None:
        self._links: dict[str, set[str]] = {}
        for partition in range(topics.identities.partitions):
            for record in logs.records(topics.identities, partition):
                if record.value is not None:
                    name = (record.key or b"").decode(errors="replace")
                    self._links.setdefault(name, set()).add(record.value.decode(errors="replace"))

    def allow(self, name: str, canonical: str) -> bool:
        """Tell whether an event of the user ``name`` may have got the user ``canonical``."""
        return name == canonical or canonical in self._links.get(name, ())


class Account:
    """Compares what must become of every event with what did.

    Parameters
    ----------
    report
        Gets the counts and differences.
    told_users
        Users that each user of a platform was ever linked to.
    outcomes
        Gets what became of the events, by id.
    incarnation, earlier
        Incarnation of the topic of events, and earlier ones that were taken in.
    since
        By partition, the offset after which the clocks of platforms were learned from all events. What was learned up
        to there is not known any more, nor by how much it moved an event.
    """

    def __init__(
        self,
        report: Report,
        told_users: ToldUsers,
        outcomes: Outcomes,
        incarnation: int = UNKNOWN,
        earlier: Collection[int] = (),
        *,
        since: Mapping[int, float],
    ) -> None:
        self.refused: dict[tuple[str, Place], int] = {}
        """Digests of the records that must be among the dead letters, by topic, partition and offset."""
        self.received: dict[int, Received] = {}
        self._outcomes = outcomes
        self._report = report
        self._told_users = told_users
        self._waiting: dict[Place, bytes] = {}
        self._met: dict[Place, int] = {}
        self.incarnation = incarnation
        self._earlier = earlier
        self._since = since
        self._gone: set[str] = set()

    def read(self, logs: Logs, topics: Topics, settings: Settings) -> None:
        """Read the events, and decide for each what must become of it."""
        topic = topics.events
        for partition in range(topic.partitions):
            received, known = Received(settings.deduplication_window), Clocks()
            self.received[partition] = received
            for record in logs.records(topic, partition):
                self._report.events.total += 1
                place = Place(partition, record.offset)
                noting = record.offset > self._since[partition]
                event, time = usable(record, known if noting else Clocks(), settings) or (None, 0)
                if event is None:
                    self.refused[topic.name, place] = digest(record.value or b"")
                    outcome = "refused"
                elif received.take(event.id):
                    self._waiting[place] = encode(
                        interaction_of(event, time, *place, record.timestamp, self.incarnation)
                    )
                    outcome = "counted"
                else:
                    self._report.events.duplicates += 1
                    outcome = "duplicates"
                self._tell(record.value or b"", event, outcome)
        self._report.events.accepted = len(self._waiting)

    def meet(self, partition: int, value: bytes, interaction: Interaction) -> None:
        """Check an interaction against its event; call this once for each interaction of a partition."""
        place = Place(interaction.source, interaction.offset)
        if self._is_gone(interaction, value, self._waiting.get(place)):
            self._gone.add(interaction.event)
            self._report.events.unchecked += 1
            return
        due = self._waiting.pop(place, None)
        if due is None:
            self._report.differ("interactions", self._surplus(place, partition, interaction))
            return
        self._met[place] = partition
        if due == value:
            return
        meant = interaction_decoder.decode(due)
        if value.startswith(OF_0_1_0):
            meant = replace(meant, incarnation=UNKNOWN)
            if self._told_users.allow(meant.user, interaction.user):
                meant = replace(meant, user=interaction.user)
        if place.offset <= self._since[place.partition] and _may_be_moved(meant, interaction):
            meant = replace(meant, time=interaction.time)
        if meant != interaction:
            fields = [
                name for name in meant.__struct_fields__ if getattr(meant, name) != getattr(interaction, name)
            ]
            self._report.differ(
                "interactions", f"{told(interaction)} differs from its event in {', '.join(fields)}"
            )

    def _is_gone(self, interaction: Interaction, value: bytes, due: bytes | None) -> bool:
        """Tell whether an interaction was made from an event of an earlier topic, which was deleted."""
        if value.startswith(OF_0_1_0):
            return due is not None and interaction_decoder.decode(due).event != interaction.event
        return interaction.incarnation in self._earlier

    def _surplus(self, place: Place, partition: int, interaction: Interaction) -> str:
        at = f"names the event {place.partition}@{place.offset}"
        if place in self._met:
            return f"{told(interaction)} {at}, and so does one in partition {self._met[place]}: counted twice"
        return f"{told(interaction)} in partition {partition} {at}, which must not be counted"

    def missing(self) -> Iterator[tuple[Place, Interaction]]:
        """Yield the interactions that are missing, with the partition and offset of their events.

        An event whose id came from an earlier topic already, which was deleted, is a duplicate.
        """
        for place, due in self._waiting.items():
            interaction = interaction_decoder.decode(due)
            if interaction.event in self._gone:
                self._report.events.duplicates += 1
                self._report.events.accepted -= 1
            else:
                yield place, interaction

    def _tell(self, value: bytes, event: Event | None, outcome: str) -> None:
        name = name_of(value) if event is None else event.id
        # If an id came more than once, report the event that was counted, not its duplicates.
        if outcome == "counted" or name not in self._outcomes:
            self._outcomes[name] = outcome


def _may_be_moved(meant: Interaction, found: Interaction) -> bool:
    """Tell whether a clock may have moved an interaction to the time that was found."""
    return abs(meant.time - found.time) <= 1000 * FARTHEST_S


def told(interaction: Interaction) -> str:
    """Describe an interaction for a sentence."""
    return f"event {interaction.event!r} (user {interaction.user!r}, item {interaction.item!r})"


def digest(value: bytes) -> int:
    """Return the hash of a record's bytes."""
    return xxh3_64_intdigest(value)


def name_of(value: bytes) -> str:
    """Return the name of an event of the file or the topic: its id, or a hash of its bytes if it has no id."""
    try:
        return EVENTS.decode(value).id
    except UNDECODABLE:
        # In the file, a line has lost its byte-order mark.
        return f"\0{digest(value.removeprefix(BOM))}"
