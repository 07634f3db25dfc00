"""Gathers the texts that wait in all partitions, so that the encoder reads them together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from afresh.models.arrays import Floats
from afresh.streams import metrics


@dataclass(eq=False, frozen=True)
class WaitingTexts:
    """Texts that somebody waits for, and their vectors, shape (n, e), once they are there; ``later``: behind others."""

    texts: Sequence[str]
    vectors: asyncio.Future[Floats]
    later: bool = False


class Gathering:
    """Answers many callers with few calls of the encoder, one after the other.

    Parameters
    ----------
    encode
        Encodes texts; it is called in a thread.
    most
        Texts of one call, at most, unless a single caller has more.
    """

    def __init__(self, encode: Callable[[list[str]], Floats], most: int) -> None:
        self._encode = encode
        self._most = most
        self._waiting: list[WaitingTexts] = []
        self._encoding = asyncio.Lock()

    async def vectors(self, texts: Sequence[str], *, later: bool = False) -> Floats:
        """Return the vectors of texts, shape (n, e); those of other callers may be encoded with them.

        Parameters
        ----------
        texts
            The texts.
        later
            Whether all others come first, also those that come while these wait.
        """
        ours = WaitingTexts(texts, asyncio.get_running_loop().create_future(), later)
        self._waiting.append(ours)
        self._waiting.sort(key=lambda each: each.later)
        try:
            async with self._encoding:
                # Whoever held the lock before may have encoded these texts, too.
                while not ours.vectors.done():
                    await self._answer(self._next())
            return ours.vectors.result()
        finally:
            if ours in self._waiting:
                self._waiting.remove(ours)

    def _next(self) -> list[WaitingTexts]:
        """Return who is to be answered first, with as many others as there is room for."""
        chosen, room = self._waiting[:1], self._most - len(self._waiting[0].texts)
        for each in self._waiting[1:]:
            room -= len(each.texts)
            if room < 0:
                break
            chosen.append(each)
        return chosen

    async def _answer(self, chosen: Sequence[WaitingTexts]) -> None:
        """Encode texts. Those who wait for them stay in the queue until then: this call may be cancelled."""
        started = time.perf_counter()
        # In a thread: a blocked event loop would send no heartbeats, and the group would drop the worker.
        made = await asyncio.to_thread(self._encode, [text for each in chosen for text in each.texts])
        metrics.EMBEDDING_SECONDS.observe(time.perf_counter() - started)
        for each in chosen:
            mine, made = made[: len(each.texts)], made[len(each.texts) :]
            if each in self._waiting:
                self._waiting.remove(each)
                each.vectors.set_result(mine)
