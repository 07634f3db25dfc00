"""Neighbours: which items came before an item, with weights that depend on the time between them.

Row i holds S[i, a], how strongly item a came before item i, and N[i, a], how strongly it came just before. Only the
owner of i writes it. What is derived from all rows together is in ``models.relations.relations`` and
``models.relations.transitions``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from afresh.models.arrays import Floats, Keys
from afresh.models.compiled import compiled

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


@compiled
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
    rows, capacity = keys.shape
    met = np.empty(capacity + new_keys.shape[1], np.uint64)
    totals = np.empty((len(weights), len(met)), np.float32)
    for row in range(rows):
        met[:capacity] = keys[row]
        totals[:, :capacity] = weights[:, row]
        count = _add_up(met, totals, capacity, new_keys[row], new_weights[:, row])
        weights[:, row] = totals[:, :capacity]
        _let_in(keys[row], weights[:, row], met[:count], totals[:, :count])


@compiled
def _add_up(met: Keys, totals: Floats, count: int, new_keys: Keys, new_weights: Floats) -> int:
    """Add a history to the first ``count`` neighbours; put new ones behind them, and return how many there are."""
    for place in range(len(new_keys)):
        key = new_keys[place]
        if key == 0:
            continue
        column = count
        for each in range(count):  # To the end: so the machine compares several at once.
            if met[each] == key:
                column = each
        if column == count:
            met[count] = key
            totals[:, count] = 0
            count += 1
        for kind in range(len(totals)):
            weight = new_weights[kind, place]
            if 0 < weight < np.inf:
                totals[kind, column] += min(weight, WEIGHT_LIMIT)
    return count


@compiled
def _let_in(keys: Keys, weights: Floats, met: Keys, totals: Floats) -> None:
    """Put those new neighbours into a row that are among the strongest, in the columns of those that are not."""
    capacity = len(keys)
    least, ties = np.float32(0), 0
    if np.count_nonzero(totals[0] > 0) > capacity:
        least = np.partition(totals[0], len(met) - capacity)[len(met) - capacity]
        ties = capacity - int(np.count_nonzero(totals[0] > least))
    free, entered = np.empty(capacity, np.int32), 0
    left = 0
    for column in range(len(met)):
        stays = totals[0, column] > least
        if totals[0, column] == least and ties > 0:
            stays, ties = True, ties - 1
        if column < capacity and not stays:
            free[left] = column
            left += 1
        elif column >= capacity and stays:
            keys[free[entered]] = met[column]
            weights[:, free[entered]] = totals[:, column]
            entered += 1


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
