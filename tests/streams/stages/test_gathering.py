from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from afresh.models.arrays import Floats
from afresh.streams.stages.gathering import Gathering


class SlowEncoder:
    """Encodes a text as its length, once it may go on."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def encode(self, texts: list[str]) -> Floats:
        self.calls.append(texts)
        self.begun.set()
        assert self.go_on.wait(60)
        return np.array([[len(text)] for text in texts], np.float32)


@pytest.fixture
def encoder() -> SlowEncoder:
    return SlowEncoder()


async def under_way(encoder: SlowEncoder, gathering: Gathering, *texts: str) -> asyncio.Task[Floats]:
    """Ask for vectors, and wait until the encoder is at work on them."""
    task = asyncio.create_task(gathering.vectors(texts))
    await asyncio.to_thread(encoder.begun.wait, 60)
    return task


async def test_what_waits_meanwhile_is_encoded_in_one_call(encoder: SlowEncoder) -> None:
    gathering = Gathering(encoder.encode, 4)
    tasks = [await under_way(encoder, gathering, "a")]
    tasks += [asyncio.create_task(gathering.vectors(texts)) for texts in (["bb"], ["ccc", "d"], ["e", "ff"])]
    await asyncio.sleep(0)
    encoder.go_on.set()
    answers = [answer.ravel().tolist() for answer in await asyncio.gather(*tasks)]
    assert answers == [[1], [2], [3, 1], [1, 2]]
    assert encoder.calls == [["a"], ["bb", "ccc", "d"], ["e", "ff"]]


async def test_a_caller_with_more_texts_than_a_call_takes_is_answered(encoder: SlowEncoder) -> None:
    encoder.go_on.set()
    assert (await Gathering(encoder.encode, 1).vectors(["a", "bb"])).ravel().tolist() == [1, 2]


async def test_a_call_that_is_cancelled_leaves_the_others_to_be_answered(encoder: SlowEncoder) -> None:
    gathering = Gathering(encoder.encode, 4)
    first = await under_way(encoder, gathering, "a")
    second = asyncio.create_task(gathering.vectors(["bb"]))
    third = asyncio.create_task(gathering.vectors(["ccc"]))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    encoder.go_on.set()
    assert (await third).ravel().tolist() == [3]
    assert encoder.calls == [["a"], ["ccc"]]


async def test_an_encoder_that_fails_fails_its_callers() -> None:
    def fails(texts: list[str]) -> Floats:
        raise ValueError("the device is gone")

    gathering = Gathering(fails, 4)
    for _ in range(2):
        with pytest.raises(ValueError, match="the device is gone"):
            await gathering.vectors(["a"])


async def test_texts_that_may_wait_come_behind_those_that_came_after_them(encoder: SlowEncoder) -> None:
    gathering = Gathering(encoder.encode, 1)
    first = await under_way(encoder, gathering, "first")
    later = asyncio.create_task(gathering.vectors(["later"], later=True))
    await asyncio.sleep(0)
    new = asyncio.create_task(gathering.vectors(["new"]))
    await asyncio.sleep(0)
    encoder.go_on.set()
    await asyncio.gather(first, later, new)
    assert encoder.calls == [["first"], ["new"], ["later"]]
