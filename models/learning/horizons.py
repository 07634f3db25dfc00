"""Horizons: over what times, and among which users, the events of an item are counted."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Floats, Integers, Places
from afresh.models.layout import HORIZONS, STAGES


def counted(taken: Integers) -> Floats:
    """Return what an event adds to the counts of its item, by how many items its user had taken before.

    Parameters
    ----------
    taken
        Shape (n,).

    Returns
    -------
    Shape (n, H), a column for each of ``models.layout.HALF_LIVES_MS``.

    Examples
    --------
    >>> counted(np.array([0, 5])).astype(int).tolist()
    [[1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]]
    """
    stages = np.eye(STAGES, dtype=np.float32)[stage_of(taken)]
    return np.concatenate([np.ones((len(taken), HORIZONS), np.float32), stages], axis=1)


def stage_of(taken: Integers) -> Places:
    """Stage of users by how many items they have taken, 0 to ``STAGES`` - 1, shape (n,)."""
    bits = np.frexp(taken.astype(np.float64))[1]
    return np.minimum(bits, STAGES - 1).astype(np.intp)
