"""Scoring pool: threads in which lists are scored while the event loop goes on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from afresh.models.retrieval.asking import Items
from afresh.models.scoring import Candidates, Request, score_lists

FEW = 8
"""Lists that are scored here and now, in some milliseconds. Another thread would wait for the GIL twice, as long."""


class ScoringPool:
    """Threads that score lists; the compiled code lets go of the GIL, so that they run on several cores.

    Attributes
    ----------
    threads
        Number of threads: one for each core that the process may use.
    """

    def __init__(self) -> None:
        self.threads = (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )
        self._executor = ThreadPoolExecutor(self.threads, "scoring")

    async def score_lists(self, requests: Sequence[Request], items: Items) -> list[Candidates]:
        """Choose and score the candidates of lists; see ``models.scoring.score_lists``."""
        if len(requests) <= FEW:
            return score_lists(requests, items)
        size = -(-len(requests) // self.threads)
        loop = asyncio.get_running_loop()
        parts = [requests[start : start + size] for start in range(0, len(requests), size)]
        done = await asyncio.gather(
            *(loop.run_in_executor(self._executor, score_lists, part, items) for part in parts)
        )
        return [each for part in done for each in part]
