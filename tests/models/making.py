"""Users and items made up, for tests of what lists are made from."""

import numpy as np

from afresh.models.learning.horizons import HALF_LIVES_MS
from afresh.models.relations import relations
from afresh.models.retrieval.asking import Asked, Items, User
from afresh.models.retrieval.candidates import HEAD
from afresh.models.retrieval.places import Numbering
from afresh.models.scorers import AKIN, FOLLOWERS, RELATED

NOW_MS = 1_700_000_000_000

Pairs = tuple[np.ndarray, np.ndarray]
"""Others of each item, -1 for none, and their weights."""


def catalogue(items: int = 30, seed: int = 0) -> Items:
    rng = np.random.default_rng(seed)
    related, followers = (_some_of(items, width, rng) for width in (RELATED, FOLLOWERS))
    akin = np.stack([rng.permutation(items)[:AKIN] for _ in range(items)]).astype(np.int32)
    embeddings = rng.normal(size=(items, 16)).astype(np.float32)
    counts = rng.random((items, len(HALF_LIVES_MS))).astype(np.float32)
    return Items(
        available=np.ones(items, bool),
        keys=rng.permutation(items).astype(np.uint64),
        domain=rng.integers(0, 3, items).astype(np.int32),
        examples=rng.integers(0, 50, items).astype(np.uint32),
        counts=counts,
        count_times=np.full(items, NOW_MS - 1000),
        embeddings=embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
        related=related,
        strengths=np.where(related >= 0, rng.random(related.shape), 0).astype(np.float32),
        vectors=rng.random((items, relations.RANK)).astype(np.float32),
        mass=rng.random(items).astype(np.float32) * 10,
        followers=followers,
        following=np.where(followers >= 0, rng.random(followers.shape), 0).astype(np.float32),
        akin=akin,
        likeness=rng.random(akin.shape).astype(np.float32),
        heads=np.argsort(-counts, axis=0)[:HEAD].T.astype(np.int32),
        trust=np.ones(items, np.float32),
    )


def _some_of(items: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """For each item others, or itself, in places of which half are empty."""
    chosen = np.stack([rng.permutation(items)[: min(width, items)] for _ in range(items)]).astype(np.int32)
    chosen[rng.random(chosen.shape) < 0.5] = -1
    return chosen


def user(items: int = 30, length: int = 8, seed: int = 0) -> User:
    rng = np.random.default_rng(seed)
    history = rng.permutation(items)[:length].astype(np.int32)
    ages = np.cumsum(rng.random(length)).astype(np.float32)
    return User(history, ages - ages[0] if length else ages, 3 * length, NOW_MS)


def asking(who: User, items: Items) -> Asked:
    return Asked(who, items, Numbering())


def random_pairs(items: int, width: int, seed: int = 0) -> Pairs:
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.permutation(items)[:width] for _ in range(items)]).astype(np.int32)
    rows[rng.random(rows.shape) < 0.3] = -1
    return rows, np.where(rows >= 0, rng.random(rows.shape), 0).astype(np.float32)


def dense(pairs: Pairs) -> np.ndarray:
    """Weights of each item with others than itself, shape (N, N)."""
    table = np.zeros((len(pairs[0]), len(pairs[0])))
    for item, (others, values) in enumerate(zip(*pairs, strict=True)):
        for other, value in zip(others, values, strict=True):
            if other >= 0 and other != item:
                table[item, other] += value
    return table
