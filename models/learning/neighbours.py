"""Neighbours: which items came before an item, with weights that depend on the time between them.

Row i holds S[i, a], how strongly item a came before item i, and N[i, a], how strongly it came just before. Only the
owner of i writes it. What is derived from all rows together is in ``models.relations.relations`` and
``models.relations.transitions``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from afresh.models.arrays import Floats, Keys
from afresh.models.lists.rank import strongest

WEIGHT_LIMIT = np.float32(1e6)
"""Most that a single pair adds. An item whose row overflows to infinity would lead every list."""


class Kernel(NamedTuple):
    """Weight of an item of the history: decay**lag * (exp(-age / timescale) + floor).

    Attributes
    ----------
    decay
        Factor for each step back in the history; lag is 0 for the newest item.
    timescale_seconds
        Two events within about this time belong to one visit.
    floor
        What an old item still counts, where an item of the same visit counts about 1.
    """

    decay: float
    timescale_seconds: float
    floor: float

    def weights(self, ages: Floats) -> Floats:
        """Compute the weights of a history.

        Parameters
        ----------
        ages
            Seconds since each event, newest first, shape (..., L); NaN where there is no event. An event from the
            future counts as an event of now.

        Returns
        -------
        Weights of the same shape; 0 where there is no event.

        Examples
        --------
        >>> Kernel(0.5, 60.0, 0.0).weights(np.array([0.0, 0.0, np.nan], np.float32)).tolist()
        [1.0, 0.5, 0.0]
        """
        by_lag = np.float32(self.decay) ** np.arange(ages.shape[-1], dtype=np.float32)
        by_age = np.exp(-np.maximum(ages, 0) / np.float32(self.timescale_seconds)) + np.float32(self.floor)
        return np.asarray(np.where(np.isnan(ages), 0, by_lag * by_age), np.float32)


LEARN = Kernel(0.95, 300.0, 0.2)
"""Weight of an item of the history in the row of the item taken."""

NEXT = Kernel(0.7, 100.0, 0.1)
"""Weight of an item of the history as the one just before the item taken. Learning and scoring both use it."""

FADE = np.float32(0.997)
"""Factor by which the weights of an item's neighbours fade at each of its examples, so that new ones can come up."""


def accumulate(keys: Keys, weights: Floats, new_keys: Keys, new_weights: Floats) -> None:
    """Add one example to each of R distinct rows, in place; a row keeps its C strongest neighbours.

    A neighbour that stays keeps its column. A new neighbour takes the first free column. Of equal weights the one in
    the lower column stays; so a new neighbour never replaces an old one of the same weight.

    Parameters
    ----------
    keys, weights
        The rows, shape (R, C) and (W, R, C). Key 0, with weights 0, is an empty column. The first of a neighbour's
        W weights decides whether it stays.
    new_keys, new_weights
        History of each example, shape (R, L) and (W, R, L); key 0 for none. A key may occur twice. Weights that are
        not finite or not positive are ignored.

    Examples
    --------
    >>> keys, weights = np.array([[7, 0]], np.uint64), np.array([[[1, 0]]], np.float32)
    >>> accumulate(keys, weights, np.array([[7, 8, 9]], np.uint64), np.array([[[0.5, 0.2, 0.4]]], np.float32))
    >>> keys.tolist(), weights.tolist()
    ([[7, 9]], [[[1.5, 0.4000000059604645]]])
    """
    capacity = keys.shape[1]
    all_keys = np.concatenate([keys, new_keys], axis=1)
    all_weights = np.concatenate([weights, usable(new_keys, new_weights)], axis=2)
    totals = _totals_at_first_place(all_keys, all_weights)
    kept = strongest(totals[0], capacity) & (totals[0] > 0)
    weights[:] = totals[:, :, :capacity]
    free, entrants = ~kept[:, :capacity], kept[:, capacity:]
    # A row with room has more free columns than entrants. Filled from the right, ties would go to the newest.
    free &= np.cumsum(free, axis=1, dtype=np.int32) <= np.count_nonzero(entrants, axis=1, keepdims=True)
    keys[free] = new_keys[entrants]
    for kind, added in zip(weights, totals[:, :, capacity:], strict=True):
        kind[free] = added[entrants]


def usable(keys: Keys, weights: Floats) -> Floats:
    """Return the weights of an example, bounded, shape (W, R, L); 0 if not finite, not positive, or of no item."""
    good = (keys != 0) & (weights > 0) & np.isfinite(weights)
    return np.asarray(np.where(good, np.minimum(weights, WEIGHT_LIMIT), 0), np.float32)


def added_mass(keys: Keys, weights: Floats) -> Floats:
    """Sum the usable weights of each example, shape (R,): the mass of its row grows by this.

    Only the first weight of each neighbour counts. The sum goes from left to right, because numpy's own sum groups by
    length: there padding would change the last bit.
    """
    return np.cumsum(usable(keys, weights[0]), axis=1, dtype=np.float32)[:, -1]


def _totals_at_first_place(keys: Keys, weights: Floats) -> Floats:
    """Sum the weights of equal keys of a row, at the first column of the key; 0 at its other columns."""
    rows, columns = keys.shape
    order = np.argsort(keys, axis=1, kind="stable")
    flat = (order + np.arange(rows)[:, None] * columns).ravel()
    sorted_keys = keys.ravel()[flat].reshape(rows, columns)
    begins = np.ones((rows, columns), np.bool_)
    begins[:, 1:] = sorted_keys[:, 1:] != sorted_keys[:, :-1]
    starts = np.flatnonzero(begins)
    totals = np.zeros((len(weights), rows * columns), np.float32)
    if len(starts):
        for total, kind in zip(totals, weights, strict=True):
            total[flat[starts]] = np.add.reduceat(kind.ravel()[flat], starts)
    return totals.reshape(weights.shape)
