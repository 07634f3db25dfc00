"""Made-up users and items to try scorers on: usual cases and edge cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from afresh.models.arrays import NONE, Floats, Indices
from afresh.models.layout import HALF_LIVES_MS, HISTORY
from afresh.models.relations import relations
from afresh.models.retrieval.asking import AKIN, FOLLOWERS, RELATED, Items, User
from afresh.models.retrieval.candidates import HEAD
from afresh.models.retrieval.codes import coded

NOW_MS = 1_700_000_000_000
YEAR_MS = 31_557_600_000
TEXT = 16
BROUGHT = 12
"""Width of an embedding, and of the vectors that an item brings."""


@dataclass(frozen=True)
class Case:
    """A user, items and candidates to be scored.

    Attributes
    ----------
    name
        What is special about the case.
    user, items
        The user, and what is known about the items.
    chosen
        Candidates, as distinct indices of the items, int32, shape (C,).
    """

    name: str
    user: User
    items: Items
    chosen: Indices


def cases(seed: int) -> Iterator[Case]:
    """Make a case of every kind that a scorer meets; the same seed gives the same cases."""
    items, who = catalogue(30, seed), user(30, seed=seed)
    every = np.random.default_rng(seed).permutation(30).astype(np.int32)
    yield Case("a user like others", who, items, every)
    yield Case("few candidates of many items", user(200, HISTORY, seed), catalogue(200, seed), every)
    yield Case("no history", user(30, 0, seed), items, every)
    yield Case(
        "a history that nobody knows", replace(who, history=np.full_like(who.history, NONE)), items, every
    )
    known_in_part = np.where(np.arange(len(who.history)) % 2, NONE, who.history).astype(np.int32)
    yield Case("a history known in part", replace(who, history=known_in_part), items, every)
    yield Case("an item taken again", replace(who, history=np.full_like(who.history, 3)), items, every)
    yield Case("no candidates", who, items, every[:0])
    yield Case("no history and no candidates", user(30, 0, seed), items, every[:0])
    for length in (0, 1):
        yield Case(
            f"one item, {length} of it taken",
            user(1, length, seed),
            catalogue(1, seed),
            np.zeros(1, np.int32),
        )
    yield Case("items without text", who, without_text(items), every)
    yield Case("items that bring no vectors", who, without_brought(items), every)
    yield Case("items that nobody has taken", who, without_counts(items), every)
    yield Case("items without text and counts", who, without_text(without_counts(items)), every)
    yield Case("years after the last event", replace(who, now_ms=NOW_MS + 50 * YEAR_MS), items, every)


def catalogue(items: int = 30, seed: int = 0) -> Items:
    """Make items with random texts, counts, relations and followers."""
    rng = np.random.default_rng(seed)
    related, followers = (_some_of(items, width, rng) for width in (RELATED, FOLLOWERS))
    akin = np.stack([rng.permutation(items)[:AKIN] for _ in range(items)]).astype(np.int32)
    embeddings = rng.normal(size=(items, TEXT)).astype(np.float32)
    codes, scales = coded(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True))
    brought, brought_scales = coded(_some_brought(items, seed))
    strengths, strength_scales = coded(np.where(related >= 0, rng.random(related.shape), 0))
    following, following_scales = coded(np.where(followers >= 0, rng.random(followers.shape), 0))
    vectors, vector_scales = coded(rng.random((items, relations.RANK)))
    counts = rng.random((items, len(HALF_LIVES_MS))).astype(np.float32)
    return Items(
        available=np.ones(items, bool),
        keys=rng.permutation(items).astype(np.uint64),
        domain=rng.integers(0, 3, items).astype(np.int32),
        examples=rng.integers(0, 50, items).astype(np.uint32),
        counts=counts,
        count_times=np.full(items, NOW_MS - 1000),
        codes=codes,
        scales=scales,
        brought=brought,
        brought_scales=brought_scales,
        related=related,
        strengths=strengths,
        strength_scales=strength_scales,
        vectors=vectors,
        vector_scales=vector_scales,
        mass=rng.random(items).astype(np.float32) * 10,
        followers=followers,
        following=following,
        following_scales=following_scales,
        akin=akin,
        likeness=rng.integers(0, 10_000, akin.shape).astype(np.uint16),
        heads=np.ascontiguousarray(np.argsort(-counts, axis=0)[:HEAD].T, np.int32),
        trust=np.ones(items, np.float32),
    )


def _some_of(items: int, width: int, rng: np.random.Generator) -> Indices:
    """Draw items for each item, with about half of the places empty; the item itself may be among them."""
    chosen = np.stack([rng.permutation(items)[: min(width, items)] for _ in range(items)]).astype(np.int32)
    chosen[rng.random(chosen.shape) < 0.5] = NONE
    return chosen


def _some_brought(items: int, seed: int) -> Floats:
    """Draw the vectors that items bring; every third item brings none, and every fifth lacks one of two kinds."""
    vectors = np.random.default_rng([seed, items]).normal(size=(items, BROUGHT))
    vectors[2::3] = 0
    vectors[4::5, : BROUGHT // 3] = 0
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


def without_brought(items: Items) -> Items:
    """Return the items as they are where no kind of vectors is declared."""
    return items._replace(
        brought=np.zeros((len(items.keys), 0), np.int16), brought_scales=np.zeros_like(items.brought_scales)
    )


def without_text(items: Items) -> Items:
    """Return the items as they are before an encoder has read any text."""
    return items._replace(
        codes=np.zeros((len(items.keys), 1), np.int16),
        scales=np.zeros_like(items.scales),
        akin=np.full_like(items.akin, NONE),
        likeness=np.zeros_like(items.likeness),
    )


def without_counts(items: Items) -> Items:
    """Return the items as they are before anybody has taken one."""
    return items._replace(
        examples=np.zeros_like(items.examples),
        counts=np.zeros_like(items.counts),
        count_times=np.zeros_like(items.count_times),
        related=np.full_like(items.related, NONE),
        strengths=np.zeros_like(items.strengths),
        strength_scales=np.zeros_like(items.strength_scales),
        vectors=np.zeros_like(items.vectors),
        vector_scales=np.zeros_like(items.vector_scales),
        mass=np.zeros_like(items.mass),
        followers=np.full_like(items.followers, NONE),
        following=np.zeros_like(items.following),
        following_scales=np.zeros_like(items.following_scales),
    )


def user(items: int = 30, length: int = 8, seed: int = 0) -> User:
    """Make a user who took ``length`` of ``items`` items, each once, within a minute."""
    rng = np.random.default_rng(seed)
    history = rng.permutation(items)[:length].astype(np.int32)
    ages = np.cumsum(rng.random(length)).astype(np.float32)
    return User(history, ages - ages[0] if length else ages, 3 * length, NOW_MS)
