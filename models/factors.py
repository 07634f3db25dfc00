"""Item factors learned from the user's vectors, one way: the vectors are given, only items move.

A user's vectors are decayed sums of fixed random codes of the items taken, so that they depend on the user's
own interactions alone (random indexing: Kanerva et al. 2000; Sahlgren 2005, An introduction to random
indexing). Items learn, by softmax over sampled negatives with Adagrad steps, which vectors they are taken by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]

DIMENSIONS = 64
"""Length of a code: one 64-bit hash gives 64 signs."""

WIDTH = 2 * DIMENSIONS + 1
"""Length of an item's factors: a part for each of the user's vectors, and a bias."""

DECAYS = np.array([[0.8], [0.98]], np.float32)
"""What is left of the short- and the long-term vector after one more event."""

BATCH = 32
"""Examples of a step. Fixed: a step where a run happens to end would make rows depend on run lengths."""

NEGATIVES = 32
"""Items drawn for a step; its examples are told apart from them, and from what the other examples took."""

LEARNING_RATE = 0.3
LENGTH_LIMIT = 1e6
"""Longer vectors are no sums of codes: something is wrong with them."""

FACTOR_LIMIT = 10.0
"""No factor grows beyond: a run of odd examples can't take an item out of reach of later ones."""


def item_codes(keys: Keys, seed: int = 0) -> Floats:
    """Make the fixed random codes of items, of unit length: the signs are the bits of a hash of key and seed.

    Parameters
    ----------
    keys
        Shape (M,).

    Returns
    -------
    Shape (M, DIMENSIONS).

    Examples
    --------
    >>> codes = item_codes(np.array([1, 2, 1], np.uint64))
    >>> bool((codes[0] == codes[2]).all()), bool((codes[0] == codes[1]).all()), float((codes[0] ** 2).sum())
    (True, False, 1.0)
    """
    bits = np.unpackbits(_mix(keys ^ _mix(np.full(1, seed, np.uint64))).view(np.uint8).reshape(-1, 8), axis=1)
    return np.asarray((2 * bits.astype(np.float32) - 1) / np.sqrt(np.float32(DIMENSIONS)))


def _mix(keys: Keys) -> Keys:
    """Finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit depends on every bit."""
    mixed = keys + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def fold(vectors: Floats, code: Floats) -> Floats:
    """Return a user's vectors, shape (2, DIMENSIONS), after one more item."""
    return np.asarray(DECAYS * vectors + code)


def features(vectors: Floats) -> Floats:
    """Return what factors are multiplied with: both vectors at unit length (or 0), and 1 for the bias.

    Parameters
    ----------
    vectors
        Shape (U, 2, DIMENSIONS). A vector that is not finite, or longer than ``LENGTH_LIMIT``, counts as 0.

    Returns
    -------
    Shape (U, WIDTH).
    """
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=2, keepdims=True)
    good = (lengths > 0) & (lengths <= LENGTH_LIMIT)
    unit = np.where(good, vectors, 0) / np.where(good, lengths, 1)
    flat = unit.reshape(len(vectors), -1)
    return np.concatenate([flat, np.ones((len(vectors), 1))], axis=1, dtype=np.float32)


def scores(vectors: Floats, factors: Floats) -> Floats:
    """Logits of every item, shape (U, N), from vectors (U, 2, DIMENSIONS) and factors (N, WIDTH)."""
    return features(vectors) @ factors.T


def negatives(items: int, seed: int, partition: int, examples: int) -> npt.NDArray[np.intp]:
    """Draw the negatives of a step, evenly among the ``items`` items of a partition.

    The draw depends on the arguments alone, ``examples`` being the count of examples that the partition has
    seen, so that replaying a log draws the same.
    """
    return np.random.default_rng([seed, partition, examples]).integers(0, items, NEGATIVES)


def step(
    factors: Floats, accumulators: Floats, vectors: Floats, taken: npt.NDArray[Any], against: npt.NDArray[Any]
) -> int:
    """Learn from one mini-batch, in place: softmax cross-entropy of each item taken against negatives.

    The negatives are those drawn and the items that the other examples took: popular ones, which are hard to
    tell apart. A step of Adagrad (Duchi et al. 2011), one accumulator a row: f -= rate g / sqrt(sum |g|**2).

    Parameters
    ----------
    factors, accumulators
        Of the items of a partition, shape (M, WIDTH) and (M,).
    vectors
        Of the users, shape (B, 2, DIMENSIONS).
    taken
        Item that each of them took, shape (B,).
    against
        The negatives drawn, shape (n,). Where one is the item taken it doesn't count for that example.

    Returns
    -------
    Rows whose gradient was refused because it was not finite.
    """
    inputs = features(vectors)
    against = np.concatenate([taken, against])
    logits = np.concatenate([(inputs * factors[taken]).sum(1)[:, None], inputs @ factors[against].T], axis=1)
    logits[:, 1:][taken[:, None] == against[None, :]] = -np.inf
    errors = np.exp(logits - logits.max(axis=1, keepdims=True))
    errors /= errors.sum(axis=1, keepdims=True)
    errors[:, 0] -= 1
    moved, place = np.unique(np.concatenate([taken, against]), return_inverse=True)
    here = (place[:, None] == np.arange(len(moved))).astype(np.float32)
    gradients = (errors[:, :1] * here[: len(taken)] + errors[:, 1:] @ here[len(taken) :]).T @ inputs
    good = np.isfinite(gradients).all(axis=1)
    _descend(factors, accumulators, moved[good], gradients[good])
    return int(len(moved) - np.count_nonzero(good))


def _descend(factors: Floats, accumulators: Floats, rows: npt.NDArray[Any], gradients: Floats) -> None:
    accumulators[rows] += (gradients**2).sum(axis=1)
    pace = LEARNING_RATE / np.sqrt(accumulators[rows] + 1e-8)
    factors[rows] = np.clip(factors[rows] - pace[:, None] * gradients, -FACTOR_LIMIT, FACTOR_LIMIT)
