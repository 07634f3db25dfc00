"""Makes random pairs of items, and scores for made-up users, for tests of what lists are made from."""

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.retrieval.asking import Asked, Items, User
from afresh.models.scorers import NAMES, score

Pairs = tuple[np.ndarray, np.ndarray]
"""Other items of each item, -1 for none, and their weights."""


def random_pairs(items: int, width: int, seed: int = 0) -> Pairs:
    rng = np.random.default_rng(seed)
    others = np.stack([rng.permutation(items)[:width] for _ in range(items)]).astype(np.int32)
    others[rng.random(others.shape) < 0.3] = -1
    return others, np.where(others >= 0, rng.random(others.shape), 0).astype(np.float32)


def dense(pairs: Pairs) -> np.ndarray:
    """Return the weight of each pair of different items, shape (N, N)."""
    table = np.zeros((len(pairs[0]), len(pairs[0])))
    for item, (others, values) in enumerate(zip(*pairs, strict=True)):
        for other, value in zip(others, values, strict=True):
            if other >= 0 and other != item:
                table[item, other] += value
    return table


def scores(who: User, items: Items) -> dict[str, Floats]:
    """Return the scores of all items by each scorer, by its name."""
    indices = np.arange(len(items.keys), dtype=np.int32)
    return dict(zip(NAMES, score(Asked(who, items), indices), strict=True))


def filled(others: Indices, values: Floats) -> Floats:
    """Return the value of each pair of items as a dense matrix, shape (N, N)."""
    table = np.zeros((len(others), len(others)), np.float32)
    items, columns = np.nonzero(others >= 0)
    table[items, others[items, columns]] = values[items, columns]
    return table
