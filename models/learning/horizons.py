"""Horizons: the times over which, and the users among whom, the events of an item are counted."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Floats, Integers, Places
from afresh.models.layout import HORIZONS, TENURES


def counted(taken: Integers) -> Floats:
    """Compute what each event adds to the counts of its item.

    Parameters
    ----------
    taken
        Number of items that the user of each event had taken before, shape (n,).

    Returns
    -------
    Amounts, float32, shape (n, H): a column for each of ``models.layout.HALF_LIVES_MS``.

    Examples
    --------
    >>> counted(np.array([0, 5])).astype(int).tolist()
    [[1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]]
    """
    tenures = np.eye(TENURES, dtype=np.float32)[tenure_of(taken)]
    return np.concatenate([np.ones((len(taken), HORIZONS), np.float32), tenures], axis=1)


def tenure_of(taken: Integers) -> Places:
    """Return the tenure of users from how many items they have taken: 0 to ``TENURES`` - 1, shape (n,)."""
    bits = np.frexp(taken.astype(np.float64))[1]
    return np.minimum(bits, TENURES - 1).astype(np.intp)
