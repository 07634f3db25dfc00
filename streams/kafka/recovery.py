"""Recovery of tables, as Faust does it, for rows that know their position in the changelog.

This module and ``streams.kafka.tables`` mend two faults. Faust trusts positions kept on disk, and crashes again and
again when one is beyond the end of the changelog; here such rows are read anew. And when rows cannot be applied, Faust
only logs the error and goes on; here the worker ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import aiokafka.errors
import kafka.errors
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from afresh.state.errors import AfreshError
from afresh.streams import metrics
from afresh.streams.kafka.rights import refusal
from afresh.streams.kafka.tables import RunTable

if TYPE_CHECKING:
    from afresh.streams.kafka.app import App

SILENT = (kafka.errors.KafkaError, aiokafka.errors.KafkaError, OSError)
"""Errors of the clients while Kafka is silent or busy."""

ASK_SECONDS = 1.0

logger = logging.getLogger(__name__)


class RunRecovery(Recovery):
    """Reads the changelog behind the position of the rows, or all of it if the changelog has no such position."""

    _begun = 0.0

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        """Reset the timers, and begin a recovery."""
        self._begun = time.monotonic()
        for table in cast("list[RunTable]", list(self.tables.values())):
            table.apply_seconds, table.applied = 0.0, 0
        await super().on_rebalance(*args, **kwargs)

    def _add(self, table: Any, tp: TP, offsets: Counter[TP]) -> None:
        self.tp_to_table[tp] = table
        # For rows without a position, Faust would go on from an older recovery.
        offsets[tp] = table.persisted_offset(tp)

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Counter[TP], title: str) -> None:
        starts, ends = await consumer.earliest_offsets(*tps), await consumer.highwaters(*tps)
        for tp in tps:
            offset = cast("int | None", destination[tp])
            if offset is not None and not starts[tp] - 1 <= offset < ends[tp]:
                logger.warning(
                    "Rows of %s-%d reflect offset %d, but the changelog has offsets %d to %d; they are read anew",
                    *(tp.topic, tp.partition, offset, starts[tp], ends[tp] - 1),
                    extra=tp._asdict() | {"offset": offset},
                )
                cast(RunTable, self.tp_to_table[tp]).rows[tp.partition].forget()
                destination[tp] = cast(int, None)
        await super()._build_offsets(consumer, tps, destination, title)

    async def _find_starts(self) -> None:
        """Decide where the sources go on, before the first seek; what must not go on ends the process."""
        app = cast("App", self.app)
        # Without tables, Faust lets aiokafka assign partitions, and its own assignor knows none of them.
        ours = app.assignor.assigned_actives() if self.tables else app.assigned()
        positions = app.positions
        while positions is not None and ours:
            try:
                starts = await positions.starts(app.consumer, ours)
            except AfreshError as error:
                await app.crash(error)
                raise
            except SILENT as error:
                if (refused := refusal(error)) is not None:
                    await app.crash(refused)
                    raise refused from error
                logger.warning("Kafka does not tell where the sources go on (%r); asking again", error)
                await asyncio.sleep(ASK_SECONDS)
            else:
                app.consumer.start_at(starts)
                return

    async def _resume_streams(self, generation_id: int = 0) -> None:
        await self._find_starts()
        await super()._resume_streams(generation_id)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Find where the sources go on, and tell how long the recovery took."""
        await self._find_starts()
        tables = cast("list[RunTable]", list(self.tables.values()))
        seconds = time.monotonic() - self._begun
        metrics.RECOVERY_SECONDS.labels("whole").set(seconds)
        metrics.RECOVERY_SECONDS.labels("apply").set(sum(table.apply_seconds for table in tables))
        cast("App", self.app).course.recovered(sum(table.applied for table in tables), seconds)
        await super().on_recovery_completed(generation_id)


class RunTables(TableManager):
    """The tables of an app, recovered by ``RunRecovery``."""

    @property
    def recovery(self) -> RunRecovery:
        """The recovery service of the tables."""
        if self._recovery is None:
            self._recovery = RunRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return cast(RunRecovery, self._recovery)
