"""Faust tables whose rows are packed bytes, and whose changelog is written run by run.

Faust does recovery, standbys and rebalancing. Rows are kept per partition, in memory or on disk (see
``state.store.rows``). They change together with the marks of the records that they contain (see
``state.store.changes``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import faust
from faust.types import TP, EventT

from afresh.state.store.changes import Change
from afresh.state.store.rows import MemoryPartitions, Partitions, Position, StoreError
from afresh.streams.kafka.incarnations import Incarnations
from afresh.streams.kafka.limits import BatchLimits

BUFFERED_RUNS = 2
"""Runs that recovery buffers before it applies them, of thousands of records each; with 1, Faust would read the
changelogs of active partitions forever."""

CONFIRM_MS = 3_600_000
"""Age of a position, in ms, at which it is confirmed anew: rows on disk must not look old only because nothing
changes."""


class RunTable(faust.Table[bytes, bytes]):
    """A Faust table of packed rows: maps key bytes to row bytes, separately for each partition.

    Parameters
    ----------
    app
        The Faust app. The table must be added to ``app.tables``, otherwise it is not recovered.
    name, changelog, partitions
        Name of the table, name of its changelog topic, and number of partitions of both.
    rows
        Store of the rows; by default in memory.
    recovered
        Called with the number of changelog records read.
    incarnations
        Incarnations of the topics, as far as they are known.
    limits
        How large record batches may be.

    Attributes
    ----------
    generation
        Number of rebalances so far. After a rebalance, agents must derive anew what they derive from rows.
    apply_seconds
        Time spent on applying changelog records to rows, in seconds.
    applied
        Number of changelog records applied to rows.
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
        incarnations: Incarnations | None = None,
        limits: BatchLimits | None = None,
    ) -> None:
        self.apply_seconds = 0.0
        self.applied = 0
        self._endings: set[asyncio.Future[None]] = set()
        self._recovered = recovered
        self._incarnations = incarnations or Incarnations()
        self._limits = limits or BatchLimits()
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
        """Start without Faust's own store, and without declaring the changelog: the topic already exists."""

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the changelog offset that the rows of a partition reflect; recovery reads what follows it."""
        position = self.rows[tp.partition].position
        return None if position is None else position.offset

    async def need_active_standby_for(self, tp: TP) -> bool:  # noqa: ARG002 - Faust passes it
        """Whether a standby must be recovered before it becomes active: always."""
        return True

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Apply runs of the changelog in order."""
        started = time.perf_counter()
        try:
            for event in batch:
                # Each message carries a run of records, which Faust's types do not know.
                self._apply(event.message.partition, event.message.value)  # type: ignore[arg-type]
        except StoreError as error:
            # Faust would only log the error, and go on without these rows.
            self._end_worker(error)
            raise
        self.apply_seconds += time.perf_counter() - started

    def _end_worker(self, error: StoreError) -> None:
        # Kept in a set: asyncio holds tasks weakly, so that this one could be collected before the app has crashed.
        ending = asyncio.ensure_future(self.app.crash(error))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    def _apply(self, partition: int, records: Sequence[Any]) -> None:
        rows = self.rows[partition]
        known = -1 if rows.position is None else rows.position.offset
        new = [(record.key, record.value) for record in records if record.offset > known]
        if new:
            rows.write(new, Position(records[-1].offset, records[-1].timestamp))
            self._recovered(len(new))
            self.applied += len(new)

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],  # noqa: ARG002 - Faust passes it
        newly_assigned: set[TP],
        generation_id: int = 0,  # noqa: ARG002 - Faust passes it
    ) -> None:
        """Drop the rows of partitions that left or are new here; rows not on disk are read again."""
        self.generation += 1
        changelog = self.changelog_topic.get_topic_name()
        self.rows.keep_only({tp.partition for tp in assigned - newly_assigned if tp.topic == changelog})

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:  # noqa: ARG002 - Faust passes it
        """Confirm the positions of active partitions: from now on, only this worker writes them."""
        for tp in active_tps:
            self.confirm(tp.partition)

    def confirm(self, partition: int) -> None:
        """Note in the position of a partition that its rows reflect the whole changelog as of now."""
        rows, now = self.rows[partition], int(time.time() * 1000)
        if rows.position is not None and now - rows.position.time > CONFIRM_MS:
            rows.write((), rows.position._replace(time=now))

    def change(self, partition: int) -> Change:
        """Begin a change of the rows of a partition."""
        changelog = self.changelog_topic.get_topic_name()
        return Change(
            self.rows[partition],
            self._partitions,
            self._incarnations.of(changelog),
            self._limits.room(changelog),
        )

    def count_rows(self) -> int:
        """Return the number of rows held here; an estimate for rows on disk."""
        return self.rows.count_rows()
