"""Leases: how long a claim may be written with, by the clocks of this process.

The wall clock goes on while the machine is suspended, but somebody may set it back. The monotonic clock never goes
back, but stands still while the machine is suspended. The one that saw more time pass is right, or errs on the safe
side.
"""

from __future__ import annotations

import random
import time


class Lease:
    """A time limit that begins now.

    Parameters
    ----------
    expiry
        Age at which Kafka may forget the claim, in seconds. The lease is over at half of it: the other half is for
        batches that are under way.
    """

    def __init__(self, expiry: float) -> None:
        self._wall, self._monotonic = time.time(), time.monotonic()
        self._end = expiry / 2
        # By chance, so that partitions that were claimed together are not renewed together.
        self._due = expiry / 3 * random.uniform(0.5, 1.0)

    def is_due(self) -> bool:
        """Whether the claim should be renewed; true from a sixth to a third of the expiry on."""
        return self._age() >= self._due

    def is_over(self) -> bool:
        """Whether nothing may be written any more."""
        return self._age() >= self._end

    def _age(self) -> float:
        return max(time.time() - self._wall, time.monotonic() - self._monotonic)
