"""A partition is prepared once after each assignment, and not while a run of it is taken in."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from afresh.streams.runs.run import Assignment, Owned, Run
from afresh.streams.stages.prepared import PreparedStage
from tests.streams.making import GENERATION, record, run_of


class Noting(PreparedStage[Any]):
    """A stage that notes what it does."""

    def __init__(self) -> None:
        nothing: Any = None
        super().__init__(nothing, nothing, nothing)
        self.happened: list[str] = []
        self.go_on = asyncio.Event()

    def begin(self, run: Run, change: Any) -> Any:
        raise NotImplementedError

    async def prepare(self, owned: Owned) -> None:
        self.happened.append(f"prepares {owned.partition}")
        await self.go_on.wait()
        self.happened.append(f"prepared {owned.partition}")

    async def end(self, run: Run) -> None:
        self.happened.append(f"done {run.partition}")


def run_in(partition: int) -> Run:
    run, event = run_of(record(b"", partition=partition))
    event.value = []
    return Run(run.event, [])


async def test_a_partition_is_prepared_before_its_first_run_and_once(tmp_path: Path) -> None:
    stage = Noting()
    stage.go_on.set()
    await stage.process(run_in(0))
    await stage.settle(Assignment(0, GENERATION))
    await stage.process(run_in(0))
    assert stage.happened == ["prepares 0", "prepared 0", "done 0", "done 0"]


async def test_it_is_prepared_anew_when_it_is_assigned_anew() -> None:
    stage = Noting()
    stage.go_on.set()
    for generation in (1, 1, 2):
        await stage.settle(Assignment(0, generation))
    assert stage.happened == ["prepares 0", "prepared 0"] * 2


async def test_a_run_waits_while_its_partition_is_prepared_and_others_do_not() -> None:
    stage = Noting()
    settling = asyncio.create_task(stage.settle(Assignment(0, GENERATION)))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(stage.process(run_in(0)))
    await asyncio.sleep(0)
    stage._prepared[1] = GENERATION
    await stage.process(run_in(1))
    assert stage.happened == ["prepares 0", "done 1"]
    stage.go_on.set()
    await asyncio.gather(settling, waiting)
    assert stage.happened == ["prepares 0", "done 1", "prepared 0", "done 0"]
