"""Tables whose rows are packed bytes, written to their changelog by the run.

Recovery, standby and rebalancing are Faust's. Rows are kept per partition, so that a partition that moves takes
its rows with it, and are written together with the marks of what they have taken in (see ``state.marks``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import faust
import msgspec
from faust.types import TP, EventT

from state.marks import PARTITION_ROW_KEY, PARTITION_ROW_VERSION, Marks, PartitionRow

CHANGE_BYTES = 750_000
"""Rows of one change, at most: with keys and framing they fit into one record batch of 1 MB."""

_partition_row_decoder = msgspec.msgpack.Decoder(PartitionRow)
_encode = msgspec.msgpack.Encoder().encode

Rows = dict[bytes, bytes]


class RowVersionError(RuntimeError):
    """A row was written by a newer version of this program."""


class RunTable(faust.Table[bytes, bytes]):
    """A Faust table of packed rows: key bytes to row bytes, apart for each partition."""

    rows: defaultdict[int, Rows]

    generation: int
    """Counts rebalances: what an agent derives from rows must be derived anew after one."""

    def __init__(self, app: faust.App, *, name: str, changelog: str, partitions: int) -> None:
        self.rows = defaultdict(dict)
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
        super().__init__(app, name=name, partitions=partitions, changelog_topic=topic)

    async def on_start(self) -> None:
        """Start without a store of Faust's and without declaring the changelog: topics stand before we start."""

    def persisted_offset(self, tp: TP) -> int | None:  # noqa: ARG002
        """None: nothing is kept on disk, recovery reads the whole changelog."""
        return None

    async def need_active_standby_for(self, tp: TP) -> bool:  # noqa: ARG002
        """Whether a standby must be read before it becomes active: always."""
        return True

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Apply runs of the changelog in their order."""
        for event in batch:
            rows = self.rows[event.message.partition]
            # The transport makes a message of a run of records, which Faust's types do not know.
            records: Sequence[Any] = event.message.value  # type: ignore[assignment]
            for record in records:
                if record.value is None:
                    rows.pop(record.key, None)
                else:
                    rows[record.key] = record.value

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],  # noqa: ARG002
        newly_assigned: set[TP],
        generation_id: int = 0,  # noqa: ARG002
    ) -> None:
        """Drop the rows of partitions that left or come anew: their changelog is read again from the start."""
        self.generation += 1
        changelog = self.changelog_topic.get_topic_name()
        kept = {tp.partition for tp in assigned - newly_assigned if tp.topic == changelog}
        for partition in [partition for partition in self.rows if partition not in kept]:
            del self.rows[partition]

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Nothing to do: rows are in place as soon as they are read."""

    def change(self, partition: int) -> Change:
        """Begin a change of a partition's rows."""
        return Change(self.rows[partition], self._partitions)

    def count_rows(self) -> int:
        """Rows in all partitions held here, their partition rows not counted."""
        return sum(len(rows) - (PARTITION_ROW_KEY in rows) for rows in self.rows.values())


class Change:
    """Rows about to be written together: seen by the run that makes them, by others only once they are applied."""

    def __init__(self, rows: Rows, partitions: int) -> None:
        self._rows = rows
        self._changed: dict[bytes, bytes | None] = {}
        own = rows.get(PARTITION_ROW_KEY)
        row = _partition_row_decoder.decode(own) if own else PartitionRow()
        if row.version > PARTITION_ROW_VERSION:
            raise RowVersionError(
                f"A partition's row has version {row.version}; this program knows {PARTITION_ROW_VERSION}."
            )
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

    def keys(self) -> Iterator[bytes]:
        """Keys of all rows before the change, in the order in which they first came."""
        return (key for key in self._rows if key != PARTITION_ROW_KEY)

    def records(self) -> list[tuple[bytes, bytes | None]]:
        """The changed rows and the partition's own, for one record batch."""
        own = _encode(PartitionRow(marks=self.marks.pack(), stage=self.stage))
        return [*self._changed.items(), (PARTITION_ROW_KEY, own)]

    def apply(self) -> None:
        """Let everybody see the change; call it once the record batch is acknowledged."""
        for key, row in self.records():
            if row is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = row
