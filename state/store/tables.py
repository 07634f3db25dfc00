"""Tables whose rows are packed bytes, written to their changelog by the run.

Recovery, standby and rebalancing are Faust's. Rows are kept per partition, in memory or on disk (see
``state.store.rows``), and are written together with the marks of what they have taken in (see ``state.store.marks``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import faust
import msgspec
from faust.types import TP, EventT

from afresh.state.store.marks import PARTITION_ROW_KEY, PARTITION_ROW_VERSION, Marks, PartitionRow
from afresh.state.store.rows import MemoryPartitions, Partitions, Position, Rows, StoreError, Written
from afresh.state.versions import unpack_known

T = TypeVar("T")

BUFFERED_RUNS = 2
"""Runs that recovery holds before it applies them, of thousands of records each; with 1 Faust would read the changelogs
of active partitions for ever."""

CONFIRM_MS = 3_600_000
"""Age from which it is noted anew that rows are whole: those on disk must not look old only because nothing changes."""

CHANGE_BYTES = 750_000
"""Rows of one change, at most: with keys and framing they fit into one record batch of 1 MB."""

_partition_row_decoder = msgspec.msgpack.Decoder(PartitionRow)
_encode = msgspec.msgpack.Encoder().encode


class RunTable(faust.Table[bytes, bytes]):
    """A Faust table of packed rows: key bytes to row bytes, apart for each partition.

    Parameters
    ----------
    app
        The Faust app; the table must be added to ``app.tables``, else it is not recovered.
    name, changelog, partitions
        Of the table, of its changelog's topic, and how many partitions both have.
    rows
        Where rows are kept; in memory unless given.
    recovered
        Told how many records of the changelog were read.

    Attributes
    ----------
    generation
        Counts rebalances: what an agent derives from rows must be derived anew after one.
    apply_seconds
        Time spent on putting records of the changelog into rows.
    """

    def __init__(
        self,
        app: faust.App,
        *,
        name: str,
        changelog: str,
        partitions: int,
        rows: Partitions | None = None,
        recovered: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.apply_seconds = 0.0
        self._recovered = recovered
        self.rows: Partitions = MemoryPartitions() if rows is None else rows
        self.generation = 0
        self._partitions = partitions
        topic = app.topic(
            changelog,
            partitions=partitions,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            internal=True,
            acks=False,
            compacting=True,
            allow_empty=True,
        )
        super().__init__(
            app,
            name=name,
            partitions=partitions,
            changelog_topic=topic,
            recovery_buffer_size=BUFFERED_RUNS,
            standby_buffer_size=1,
        )

    async def on_start(self) -> None:
        """Start without a store of Faust's and without declaring the changelog: topics stand before we start."""

    def persisted_offset(self, tp: TP) -> int | None:
        """Offset up to which the rows of a changelog's partition are whole: recovery reads what follows."""
        position = self.rows[tp.partition].position
        return None if position is None else position.offset

    async def need_active_standby_for(self, tp: TP) -> bool:  # noqa: ARG002
        """Whether a standby must be read before it becomes active: always."""
        return True

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Apply runs of the changelog in their order."""
        started = time.perf_counter()
        try:
            for event in batch:
                # The transport makes a message of a run of records, which Faust's types do not know.
                self._apply(event.message.partition, event.message.value)  # type: ignore[arg-type]
        except StoreError as error:
            # Faust would log the error, and go on without these rows.
            asyncio.ensure_future(self.app.crash(error))  # noqa: RUF006
            raise
        self.apply_seconds += time.perf_counter() - started

    def _apply(self, partition: int, records: Sequence[Any]) -> None:
        rows = self.rows[partition]
        known = -1 if rows.position is None else rows.position.offset
        new = [(record.key, record.value) for record in records if record.offset > known]
        if new:
            rows.write(new, Position(records[-1].offset, records[-1].timestamp))
            self._recovered(len(new))

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],  # noqa: ARG002
        newly_assigned: set[TP],
        generation_id: int = 0,  # noqa: ARG002
    ) -> None:
        """Let go of partitions that left or come anew: what is not kept on disk is read from the changelog again."""
        self.generation += 1
        changelog = self.changelog_topic.get_topic_name()
        self.rows.keep_only({tp.partition for tp in assigned - newly_assigned if tp.topic == changelog})

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:  # noqa: ARG002
        """Note that the rows of active partitions are whole as of now: nobody but us writes them from here on."""
        for tp in active_tps:
            self.confirm(tp.partition)

    def confirm(self, partition: int) -> None:
        """Note that the rows of a partition hold all that its changelog holds now."""
        rows, now = self.rows[partition], int(time.time() * 1000)
        if rows.position is not None and now - rows.position.time > CONFIRM_MS:
            rows.write((), rows.position._replace(time=now))

    def change(self, partition: int) -> Change:
        """Begin a change of a partition's rows."""
        return Change(self.rows[partition], self._partitions)

    def count_rows(self) -> int:
        """Rows held here; an estimate when they are kept on disk."""
        return self.rows.count()


class Assigned(Protocol):
    """What rows of partitions belong to one assignment of."""

    @property
    def generation(self) -> int:
        """Counts rebalances."""


class PerAssignment(Generic[T]):
    """What an agent derives from the rows of each partition, anew after every rebalance.

    A run dropped by a rebalance leaves its traces in what was derived, though it will be read again.

    Parameters
    ----------
    assigned
        Counts rebalances.
    derive
        Derives it from the rows of a partition.
    """

    def __init__(self, assigned: Assigned, derive: Callable[[int], T]) -> None:
        self._assigned = assigned
        self._derive = derive
        self._derived: dict[int, tuple[int, T]] = {}

    def __getitem__(self, partition: int) -> T:
        known = self._derived.get(partition)
        if known is None or known[0] != self._assigned.generation:
            known = self._assigned.generation, self._derive(partition)
            self._derived[partition] = known
        return known[1]

    def replace(self, partition: int, derived: T) -> None:
        """Hold something else in place of what was derived, until the next rebalance."""
        self._derived[partition] = self._assigned.generation, derived


class Change:
    """Rows about to be written together: seen by the run that makes them, by others only once they are applied."""

    def __init__(self, rows: Rows, partitions: int) -> None:
        self._rows = rows
        self._changed: dict[bytes, bytes | None] = {}
        own = rows.get(PARTITION_ROW_KEY)
        row = PartitionRow()
        if own:
            row = unpack_known(_partition_row_decoder, own, "A partition's row", PARTITION_ROW_VERSION)
        self.marks = Marks(row.marks, partitions)
        self.stage = row.stage

    def get(self, key: bytes) -> bytes | None:
        """Row of a key as this change sees it."""
        if key in self._changed:
            return self._changed[key]
        return self._rows.get(key)

    def put(self, key: bytes, row: bytes) -> None:
        """Write a row."""
        self._changed[key] = row

    def delete(self, key: bytes) -> None:
        """Delete a row."""
        self._changed[key] = None

    def records(self) -> list[Written]:
        """The changed rows and the partition's own, for one record batch."""
        own = _encode(PartitionRow(marks=self.marks.pack(), stage=self.stage))
        return [*self._changed.items(), (PARTITION_ROW_KEY, own)]

    def apply(self, first: int) -> None:
        """Let everybody see the change; call it once the record batch is acknowledged.

        Parameters
        ----------
        first
            Offset that Kafka gave to the first record of the batch, below 0 if it is not known.
        """
        records = self.records()
        position = self._rows.position
        # Where a batch does not follow the one before, somebody else has written in between (a worker that slept),
        # or Kafka took a batch twice. The position stays: the next recovery reads all that came after it.
        if first == (0 if position is None else position.offset + 1):
            position = Position(first + len(records) - 1, int(time.time() * 1000))
        self._rows.write(records, position)
