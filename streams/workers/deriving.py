"""deriving: derives what follows from all item rows, again and again, in a thread beside the event loop."""

from __future__ import annotations

import asyncio
import time

from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.catalogue.derived import derive
from afresh.streams import metrics

REST = 4.0
"""Rest after each derivation, as a multiple of its working time: it uses a fifth of a core at most."""

SHORTEST_REST_SECONDS = 0.2
LONGEST_REST_SECONDS = 60.0


class Deriver:
    """Derives anew whenever item rows have changed.

    The thread reads arrays while the event loop goes on writing them, so it may see a row half changed. The Catalogue
    is then outdated again, and the next derivation replaces the result.

    Parameters
    ----------
    catalogue
        Catalogue whose rows are read, and which gets the result.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def run(self) -> None:
        """Derive forever, with rests."""
        while True:
            rest = REST * await self.turn()
            await asyncio.sleep(min(max(rest, SHORTEST_REST_SECONDS), LONGEST_REST_SECONDS))

    async def turn(self) -> float:
        """Derive once if rows have changed; return the working time in seconds."""
        if not self._catalogue.is_outdated():
            return 0.0
        started = time.perf_counter()
        derived = await asyncio.to_thread(derive, self._catalogue.snapshot())
        async with self._catalogue.still:
            self._catalogue.install(derived)
        taken = time.perf_counter() - started
        metrics.STAGE_SECONDS.labels("derive").observe(taken)
        return taken
