"""Exploration: some places of a list are given to new items, and the chance that each item had is known.

With such propensities what a list brought can be told for other ways of choosing (off-policy estimates): Horvitz and
Thompson (1952), A generalization of sampling without replacement from a finite universe; Li et al. (2011), Unbiased
offline evaluation of contextual-bandit-based news article recommendation algorithms.

A tenth of the places costs 7 % of HR@10 in the run named in ``models.lists.diversity``, and brings 98 % of the
catalogue into lists instead of 58 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from afresh.models.arrays import Indices, Mask

NEW_EXAMPLES = 20
"""Times that an item was taken from which on it is not new."""

DIGITS = 12
"""Decimals of a propensity: more are noise of the arithmetic."""


@dataclass(frozen=True)
class Draw:
    """What was drawn for one list, before it is known what else stands in it.

    Attributes
    ----------
    share
        Chance that a place is given to a new item.
    given
        Whether each place is, shape (k,).
    new
        New items in a random order, as many as may be needed, shape (at most 2 k,).
    pool
        New items in all.
    """

    share: float
    given: Mask
    new: Indices
    pool: int


def draw(pool: Indices, share: float, k: int, seed: int) -> Draw:
    """Draw for a list of ``k`` places from a pool of new items; the same seed draws the same.

    Examples
    --------
    >>> drawn = draw(np.arange(5, dtype=np.int32), 1.0, 2, seed=1)
    >>> drawn.given.tolist(), len(drawn.new), drawn.pool
    ([True, True], 4, 5)
    """
    random = np.random.default_rng(seed)
    given = random.random(k) < share
    # Twice as many: each place may use up one by itself and one that stands there for its score.
    new = random.choice(pool, min(2 * k, len(pool)), replace=False) if len(pool) else pool
    return Draw(share, given, new, len(pool))


def fill(ranked: Indices, is_new: Mask, drawn: Draw) -> tuple[Indices, list[float]]:
    """Fill the places of a list: those given to new items from the draw, the others with the best that are left.

    Parameters
    ----------
    ranked
        Items, best first, whatever was drawn, shape (C,).
    is_new
        Whether each of them is in the pool, shape (C,).
    drawn
        Of ``draw``.

    Returns
    -------
    The list, and the propensity of each of its items: the chance, given the items before it, to stand where it
    stands. With n new items left that is e / n for each of them, and (1 - e) more for the best item left; e is the
    share, and 0 once no new item is left.

    Examples
    --------
    >>> given = np.array([False, True, False])
    >>> drawn = Draw(0.1, given, np.array([7, 8], np.int32), 2)
    >>> fill(np.array([1, 2, 7], np.int32), np.array([False, False, True]), drawn)
    (array([1, 7, 2], dtype=int32), [0.9, 0.05, 0.9])
    """
    best, others, left = ranked.tolist(), drawn.new.tolist(), drawn.pool
    new = {*ranked[is_new].tolist(), *others}
    listed: list[int] = []
    propensities: list[float] = []
    for given in drawn.given.tolist():
        if not best:
            break
        share = drawn.share if others else 0.0
        item = others[0] if given and others else best[0]
        chance = (1 - share) * (item == best[0]) + (share / left if item in new else 0.0)
        listed.append(item)
        propensities.append(round(chance, DIGITS))
        best = [each for each in best if each != item]
        others = [each for each in others if each != item]
        left -= item in new
    return np.array(listed, np.int32), propensities
