"""The same logs give the same rows in memory and on disk, bit by bit; a restart reads only what is new."""

from __future__ import annotations

import random
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from afresh.streams.settings import Settings
from tests.replay import memory
from tests.replay.memory import CrashError, Log, Pipeline
from tests.replay.test_replay import STAGES, fill

PARTITIONS = 2


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock of the logs to today, so that rows on disk do not count as too old."""
    monkeypatch.setattr(memory, "CLOCK", time.time())


def pipeline_of(folder: Path, state: str, log: Log | None = None, **rest: Any) -> Pipeline:
    settings = Settings(_env_file=None, partitions=PARTITIONS, data_dir=folder, list_size=5, state=state)
    return Pipeline(settings, log or Log(), **rest)


async def test_the_same_logs_give_the_same_rows_in_memory_and_on_disk(tmp_path: Path) -> None:
    rows = {}
    for state in ("memory", "rocksdb"):
        draw = random.Random(3)
        pipeline = pipeline_of(tmp_path / state, state)
        fill(pipeline, 300)
        pipeline.feed(pipeline.topics.items.name, "i7", None)
        await pipeline.drain(partial(draw.choice, [1, 5, 33, 100]))
        rows[state] = pipeline.rows()
        assert pipeline.recovered == {}
        pipeline.close()
    assert rows["rocksdb"] == rows["memory"]


@pytest.mark.parametrize("moment", ["sent", "acknowledged", "written"])
@pytest.mark.parametrize("stage", STAGES)
async def test_after_crashes_rows_on_disk_equal_the_changelogs_and_only_the_tail_was_read(
    tmp_path: Path, stage: str, moment: str
) -> None:
    steps, crashes = Counter[str](), 0
    log, committed = Log(), dict[tuple[str, int], int]()
    fill(Pipeline(Settings(_env_file=None, partitions=PARTITIONS, data_dir=tmp_path), log), 200)

    def crash(step: str) -> bool:
        nonlocal crashes
        steps[step] += 1
        crashed = step == f"{stage}: {moment}" and steps[step] % 2 == 0 and crashes < 3
        crashes += crashed
        return crashed

    recovered = Counter[str]()
    while True:
        pipeline = pipeline_of(tmp_path / "disk", "rocksdb", log, committed=committed, crash=crash)
        recovered += pipeline.recovered
        try:
            await pipeline.drain(lambda: 20)
        except CrashError:
            pipeline.close()
            continue
        break
    assert crashes > 1
    # Only records that Kafka had taken and the disk had not are read: those of the batches being written.
    assert bool(recovered) == (moment == "acknowledged")
    assert pipeline.rows() == pipeline_of(tmp_path, "memory", log).rows()
    pipeline.close()
