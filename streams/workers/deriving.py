"""deriving: keeps up to date what follows from all item rows together, in a thread beside the stream."""

from __future__ import annotations

import asyncio
import time

from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.catalogue.derived import derive
from afresh.streams import metrics

REST = 4.0
"""How much longer than it worked it rests: a fifth of a core at most."""

SHORTEST_REST_SECONDS = 0.05
LONGEST_REST_SECONDS = 60.0


class Deriver:
    """Derives anew whenever rows have changed.

    The thread reads the arrays that the event loop goes on writing. A row that changes under its eyes may be seen by
    halves; but then the Catalogue is outdated again, and what was derived is replaced by the next.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def run(self) -> None:
        """Derive for ever."""
        while True:
            rest = REST * await self.turn()
            await asyncio.sleep(min(max(rest, SHORTEST_REST_SECONDS), LONGEST_REST_SECONDS))

    async def turn(self) -> float:
        """Derive once if rows have changed; return how long it took, in seconds."""
        if not self._catalogue.is_outdated():
            return 0.0
        started = time.perf_counter()
        self._catalogue.install(await asyncio.to_thread(derive, self._catalogue.snapshot()))
        taken = time.perf_counter() - started
        metrics.STAGE_SECONDS.labels("derive").observe(taken)
        return taken
