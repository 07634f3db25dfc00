"""Recovery of tables: Faust's, with rows that know how far they reflect their changelog.

Two things are mended. Faust takes positions kept on disk on trust, and crashes for ever when one is beyond the
changelog's end; and whatever fails while rows are applied is a line in the log to it, after which it goes on.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any, cast

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from afresh.streams import metrics
from afresh.streams.kafka.tables import RunTable

logger = logging.getLogger(__name__)


class RunRecovery(Recovery):
    """Reads what came after the position of the rows, or all where that position is none of the changelog's."""

    _begun = 0.0

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        """Begin anew."""
        self._begun = time.monotonic()
        for table in self.tables.values():
            cast(RunTable, table).apply_seconds = 0.0
        await super().on_rebalance(*args, **kwargs)

    def _add(self, table: Any, tp: TP, offsets: Counter[TP]) -> None:
        self.tp_to_table[tp] = table
        # Faust would go on from an older recovery where the rows have no position.
        offsets[tp] = table.persisted_offset(tp)

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Counter[TP], title: str) -> None:
        starts, ends = await consumer.earliest_offsets(*tps), await consumer.highwaters(*tps)
        for tp in tps:
            offset = cast("int | None", destination[tp])
            if offset is not None and not starts[tp] - 1 <= offset < ends[tp]:
                logger.warning(
                    "Rows of %s-%d reflect offset %d, and the changelog has %d to %d: they are read anew",
                    *(tp.topic, tp.partition, offset, starts[tp], ends[tp] - 1),
                )
                cast(RunTable, self.tp_to_table[tp]).rows[tp.partition].forget()
                destination[tp] = cast(int, None)
        await super()._build_offsets(consumer, tps, destination, title)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Note what the recovery took."""
        tables = cast("list[RunTable]", list(self.tables.values()))
        metrics.RECOVERY_SECONDS.labels("whole").set(time.monotonic() - self._begun)
        metrics.RECOVERY_SECONDS.labels("apply").set(sum(table.apply_seconds for table in tables))
        await super().on_recovery_completed(generation_id)


class RunTables(TableManager):
    """The tables of an app, recovered by ``RunRecovery``."""

    @property
    def recovery(self) -> RunRecovery:
        """Recovery service of the tables."""
        if self._recovery is None:
            self._recovery = RunRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return cast(RunRecovery, self._recovery)
