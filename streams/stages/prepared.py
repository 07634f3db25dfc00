"""Stages that prepare each partition once after every assignment, whether or not a record arrives."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import defaultdict
from typing import Any, TypeVar

from afresh.streams.kafka.tables import RunTable
from afresh.streams.runs.run import Owned, Run
from afresh.streams.runs.runner import Runner
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import Part, Stage

P = TypeVar("P", bound="Part[Any]")


class PreparedStage(Stage[P]):
    """A stage that prepares each partition before it takes in the first run of an assignment."""

    def __init__(self, runner: Runner, table: RunTable, shared: Shared) -> None:
        super().__init__(runner, table, shared)
        self._prepared: dict[int, int] = {}
        self._at_work: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    @abstractmethod
    async def prepare(self, owned: Owned) -> None:
        """Do what must be done once before the first run; no run of the partition is taken in meanwhile."""

    async def settle(self, owned: Owned) -> None:
        """Prepare a partition unless this was done since it was assigned. Without records, the worker calls this."""
        async with self._at_work[owned.partition]:
            if self._prepared.get(owned.partition) != owned.generation:
                await self.prepare(owned)
                self._prepared[owned.partition] = owned.generation

    async def process(self, run: Run) -> None:
        """Take in a run once its partition is prepared."""
        await self.settle(run)
        async with self._at_work[run.partition]:
            await super().process(run)
