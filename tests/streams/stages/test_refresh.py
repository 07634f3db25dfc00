"""The refresh over logs in memory: it asks for what is missing, popular items first, and loses nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afresh.state.rows import content
from afresh.streams.messages import Embedding, TextRequest, encode, text_request_decoder
from afresh.streams.runs.run import Assignment
from afresh.streams.settings import Settings
from afresh.streams.stages import refresh as module
from afresh.streams.stages.content import Content
from afresh.streams.stages.refresh import Refresh
from afresh.streams.stages.shared import Wanted
from tests.replay.memory import GENERATION, Pipeline

ITEMS = [f"i{number}" for number in range(12)]


class Refreshed:
    """A pipeline, its refresh, and encoders that answer when they are told to."""

    def __init__(self, folder: Path, before: Pipeline | None = None) -> None:
        settings = Settings(_env_file=None, partitions=2, data_dir=folder, list_size=5)
        self.pipeline = Pipeline(settings, before.log, before.committed) if before else Pipeline(settings)
        self.wanted = Wanted()
        stage: Any = self.pipeline.stages["content"]
        assert isinstance(stage, Content)
        owned = [Assignment(partition, GENERATION) for partition in range(2)]
        self.refresh = Refresh(stage, self.pipeline.catalogue, lambda: owned, lambda: self.wanted, 3600.0)
        self.read = set(self.asked())

    def asked(self) -> dict[tuple[int, int], TextRequest]:
        found = self.pipeline.log.values(self.pipeline.topics.texts_again.name)
        return {
            (partition, offset): text_request_decoder.decode(value or b"")
            for partition, some in found.items()
            for offset, (_, value) in enumerate(some)
        }

    async def answer(self, *, unreadable: str = "") -> list[str]:
        """Answer all that was asked since; return the items."""
        asked = [request for place, request in self.asked().items() if place not in self.read]
        self.read |= self.asked().keys()
        for request in asked:
            for version in request.encoders:
                number = b"" if request.item == unreadable else np.ones(int(version), "<f2").tobytes()
                answer = Embedding(request.item, request.content, "tiny", version, number)
                self.pipeline.feed(self.pipeline.topics.embeddings.name, request.item, encode(answer))
        await self.pipeline.drain()
        return [request.item for request in asked]

    async def round(self, **how: Any) -> list[list[str]]:
        """Let a round run to its end, and answer; return the items of each answer."""
        task = asyncio.create_task(self.refresh.round())
        answered = list[list[str]]()
        for _ in range(2000):
            await asyncio.sleep(0.002)
            if task.done():
                task.result()
                return answered
            if some := await self.answer(**how):
                answered.append(some)
        raise AssertionError

    def versions(self) -> list[set[str]]:
        rows = self.pipeline.rows()["content"]
        unpacked = [content.unpack(packed) for some in rows.values() for key, packed in some.items() if key]
        return [{each.encoder_version for each in row.vectors} for row in unpacked]


@pytest.fixture
def refreshed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refreshed:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(module, "WINDOW", 4)
    made = Refreshed(tmp_path)
    for item in ITEMS:
        made.pipeline.item(item)
    for number, item in enumerate(("i7", "i3", "i7")):
        made.pipeline.event(id=f"e{number}", user=f"u{number}", item=item)
    return made


async def test_a_round_asks_for_what_is_missing_so_much_at_a_time_and_popular_items_first(
    refreshed: Refreshed,
) -> None:
    await refreshed.pipeline.drain()
    refreshed.wanted = Wanted(["1"])
    answered = await refreshed.round()
    assert [len(some) for some in answered] == [4, 4, 4]
    assert {"i7", "i3"} <= set(answered[0])
    assert refreshed.versions() == [{"1"}] * 12
    refreshed.wanted = Wanted(["2", "1"])
    assert sum(map(len, await refreshed.round())) == 12
    assert refreshed.versions() == [{"1", "2"}] * 12
    assert await refreshed.round() == []


async def test_while_nobody_has_planned_anything_nothing_is_asked_for(refreshed: Refreshed) -> None:
    await refreshed.pipeline.drain()
    assert await refreshed.round() == []


async def test_whoever_comes_after_a_crash_asks_only_for_what_is_missing_yet(
    refreshed: Refreshed, tmp_path: Path
) -> None:
    await refreshed.pipeline.drain()
    refreshed.wanted = Wanted(["1"])
    task = asyncio.create_task(refreshed.refresh.round())
    while len(refreshed.asked()) < 8:
        await asyncio.sleep(0.002)
        if len(refreshed.asked()) == 4:
            await refreshed.answer()
    task.cancel()
    after = Refreshed(tmp_path, refreshed.pipeline)
    after.wanted = Wanted(["1"])
    assert sum(map(len, await after.round())) == 8
    assert after.versions() == [{"1"}] * 12


async def test_a_text_that_cannot_be_read_holds_up_no_round_and_is_tried_again_in_the_next(
    refreshed: Refreshed,
) -> None:
    await refreshed.pipeline.drain()
    refreshed.wanted = Wanted(["1"])
    assert sum(map(len, await refreshed.round(unreadable="i5"))) == 12
    assert await refreshed.round() == [["i5"]]
    assert refreshed.versions() == [{"1"}] * 12


async def test_old_vectors_are_taken_out_of_rows_once_they_are_not_wanted_any_more(
    refreshed: Refreshed,
) -> None:
    await refreshed.pipeline.drain()
    refreshed.wanted = Wanted(["2", "1"])
    await refreshed.round()
    refreshed.pipeline.feed(refreshed.pipeline.topics.items.name, "i1", None)
    await refreshed.pipeline.drain()
    refreshed.wanted = Wanted(["2"], alone=True)
    assert await refreshed.round() == []
    assert sorted(map(len, refreshed.versions())) == [0] + [1] * 11


async def test_a_round_ends_when_other_encoders_are_wanted(refreshed: Refreshed) -> None:
    await refreshed.pipeline.drain()
    refreshed.wanted = Wanted(["1"])
    task = asyncio.create_task(refreshed.refresh.round())
    await asyncio.sleep(0.05)
    refreshed.wanted = Wanted(["2", "1"])
    await asyncio.wait_for(task, 10.0)


async def test_texts_whose_answers_would_have_come_are_not_waited_for(
    refreshed: Refreshed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await refreshed.pipeline.drain()
    refreshed.wanted = Wanted(["1"])
    refreshed.refresh._seconds = 0.01
    await asyncio.wait_for(refreshed.refresh.round(), 10.0)
    assert len(refreshed.asked()) == 12
