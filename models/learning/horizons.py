"""Horizons: over what times, and among which users, the events of an item are counted."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Floats, Integers, Places

STAGES = 10
"""Users are told apart by how many events they had: 0, 1, 2-3, 4-7, ..., 128-255, 256 and more."""

HOUR_MS = 3_600_000.0
DAY_MS = 24 * HOUR_MS
HALF_LIVES_MS = np.array([30 * DAY_MS, DAY_MS, 2 * HOUR_MS, 7 * DAY_MS] + [30 * DAY_MS] * STAGES)
"""Of the counts of an item: popular, trending, of this hour, of this week, and popular among users at each stage."""

HORIZONS = len(HALF_LIVES_MS) - STAGES


def counted(taken: Integers) -> Floats:
    """Return what an event adds to the counts of its item, by how many items its user had taken before.

    Examples
    --------
    >>> counted(np.array([0, 5])).astype(int).tolist()
    [[1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]]
    """
    stages = np.eye(STAGES, dtype=np.float32)[stage_of(taken)]
    return np.concatenate([np.ones((len(taken), HORIZONS), np.float32), stages], axis=1)


def stage_of(taken: Integers) -> Places:
    """Stage of users by how many items they have taken."""
    bits = np.frexp(taken.astype(np.float64))[1]
    return np.minimum(bits, STAGES - 1).astype(np.intp)
