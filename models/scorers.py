"""The scorers: the one place that names them, with their constants. To add one, add it to ``SCORERS``.

The constants were chosen on the first half of MovieLens 100K, each list made before its event was learned;
those of the session, the long history and the text were set beforehand and not tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import factors, fusion, neighbours, popularity, text
from models.neighbours import Kernel, Similarity

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]

HISTORY = 60
"""Items of a history that an example carries, and that its row learns from."""

ASKED = 20
"""Items of a history that a list is made from."""

NEIGHBOURS = 128
"""Neighbours of a row. With 64 the fused hit rate is .009 lower, with 256 .003 higher."""

REVERSE_NEIGHBOURS = 64
"""Neighbours of the other direction that the Catalogue keeps for an item; 128 are no better."""

LEARN = Kernel(0.95, 300.0, 0.2)
"""Weight of an item of the history in the row of the item taken."""

ASK = Kernel(0.95, 100.0, 0.03)
"""Weight of an item of the history when a list is made."""

ASK_SESSION = Kernel(0.7, 30.0, 0.02)
"""The same, of the very last items only."""

ASK_LONG = Kernel(0.9, 100_000.0, 0.5)
"""The same, of what a user took before this visit as well."""

ASK_TEXT = Kernel(0.9, 1000.0, 0.3)
"""Weight of an item of the history in the mean text that others are compared with."""

SIMILARITY = Similarity(exponent=0.45, shrinkage=3.0, power=0.5)
"""Between cosine and plain counts, its root: many weak neighbours together say more than one strong one."""

STAGES = 7
"""Users are told apart by how many events they had: 0, 1, 2-3, 4-7, 8-15, 16-31, 32 and more."""

DAY_MS = 86_400_000.0
HALF_LIVES_MS = np.array([30 * DAY_MS, DAY_MS] + [30 * DAY_MS] * STAGES)
"""Of the counts of an item: popular, trending, and popular among users at each stage."""

STAGE_FLOOR = 1e-3
"""Part of the popular count in every stage: what nobody took at a stage is still ordered."""


@dataclass(frozen=True)
class Users:
    """The users of a batch of lists.

    Attributes
    ----------
    history
        Catalogue rows of their items, newest first, shape (U, L), L <= ``ASKED``; -1 for none.
    ages
        Seconds from each of them to the newest, shape (U, L); NaN for none.
    vectors
        Of ``models.factors``, shape (U, 2, d).
    lengths
        Events of each user so far, shape (U,); ``HISTORY`` stands for all above.
    now_ms
        When the lists are made.
    """

    history: Indices
    ages: Floats
    vectors: Floats
    lengths: npt.NDArray[np.int64]
    now_ms: int


@dataclass(frozen=True)
class CatalogueArrays:
    """What is known of the items, as arrays of N rows.

    Attributes
    ----------
    neighbours, strengths
        Rows of the items and their strengths of ``SIMILARITY``, shape (N, NEIGHBOURS); -1 for none.
    reverse, reverse_strengths
        The other direction, of ``neighbours.transpose_rows``, shape (N, REVERSE_NEIGHBOURS).
    scale
        ``SIMILARITY.scale`` of the mass of each item, shape (N,).
    factors
        Shape (N, ``factors.WIDTH``).
    counts, count_times
        Of ``models.popularity``, a column for each of ``HALF_LIVES_MS``: shape (N, H) and (N,).
    embeddings
        Of the text, unit length or 0, shape (N, E).
    """

    neighbours: Indices
    strengths: Floats
    reverse: Indices
    reverse_strengths: Floats
    scale: Floats
    factors: Floats
    counts: npt.NDArray[np.float64]
    count_times: npt.NDArray[np.int64]
    embeddings: Floats


@dataclass(frozen=True)
class Scorer:
    """One scorer, or several that share their work.

    Attributes
    ----------
    priors
        By name of the scorer: the weights of its two features (logarithm, root) before anything is learned.
    score
        Raw scores, not below 0, shape (len(priors), U, N), or (len(priors), 1, N) where all users have the same.
    """

    priors: dict[str, tuple[float, float]]
    score: Callable[[Users, CatalogueArrays], Floats]


def counted(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return what an event adds to the counts of its item, by the length of the history before it.

    Examples
    --------
    >>> counted(np.array([0, 5])).astype(int).tolist()
    [[1, 1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 1, 0, 0, 0]]
    """
    return np.concatenate([np.ones((len(lengths), 2)), np.eye(STAGES)[_stage(lengths)]], axis=1)


def _stage(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    bits = np.frexp(lengths.astype(np.float64))[1]
    return np.minimum(bits, STAGES - 1).astype(np.intp)


def _neighbours(users: Users, catalogue: CatalogueArrays) -> Floats:
    asked = np.stack([kernel.weights(users.ages) for kernel in (ASK, ASK_SESSION, ASK_LONG)])
    forward = (catalogue.neighbours, catalogue.strengths)
    reverse = (catalogue.reverse, catalogue.reverse_strengths)
    return neighbours.scores(users.history, asked, forward, reverse, catalogue.scale)


def _factors(users: Users, catalogue: CatalogueArrays) -> Floats:
    logits = factors.scores(users.vectors, catalogue.factors)
    return np.asarray(np.exp(logits - logits.max(axis=1, keepdims=True))[None], np.float32)


def _popularity(users: Users, catalogue: CatalogueArrays) -> Floats:
    counts = _decayed(users, catalogue, slice(0, 2))
    return counts.T[:, None].astype(np.float32)


def _stage_popularity(users: Users, catalogue: CatalogueArrays) -> Floats:
    present, stage = np.unique(_stage(users.lengths), return_inverse=True)
    counts = _decayed(users, catalogue, [0, *(2 + present).tolist()])
    staged = counts[:, 1:] + STAGE_FLOOR * counts[:, :1]
    return staged.T.astype(np.float32)[stage][None]


def _decayed(users: Users, catalogue: CatalogueArrays, columns: slice | list[int]) -> npt.NDArray[np.float64]:
    """Some columns of the counts as of now, shape (N, h)."""
    half_lives = HALF_LIVES_MS[columns]
    return popularity.decayed(catalogue.counts[:, columns], catalogue.count_times, users.now_ms, half_lives)


def _text(users: Users, catalogue: CatalogueArrays) -> Floats:
    return text.scores(users.history, ASK_TEXT.weights(users.ages), catalogue.embeddings)[None]


SCORERS = (
    Scorer({"neighbours": (1.1, 0.5), "session": (0.1, 0.4), "long": (0.0, 0.4)}, _neighbours),
    Scorer({"factors": (0.3, 0.3)}, _factors),
    Scorer({"popular": (-0.1, 0.2), "trending": (0.0, 0.3)}, _popularity),
    Scorer({"stage": (0.1, 0.6)}, _stage_popularity),
    Scorer({"text": (0.6, 0.6)}, _text),
)
"""In the order of ``NAMES``; the priors are near what was learned on the first half of MovieLens 100K."""

NAMES = tuple(name for scorer in SCORERS for name in scorer.priors)


def score(users: Users, catalogue: CatalogueArrays, without: Collection[str] = ()) -> list[Floats]:
    """Raw scores of every item for every user: a block for each of ``SCORERS``, together in the order of ``NAMES``.

    Scorers named in ``without`` score nothing: what is lost without them is what they are worth.
    """
    if not len(catalogue.scale):
        return [np.zeros((len(scorer.priors), 1, 0), np.float32) for scorer in SCORERS]
    blocks = [scorer.score(users, catalogue) for scorer in SCORERS]
    for scorer, block in zip(SCORERS, blocks, strict=True):
        block[[name in without for name in scorer.priors]] = 0
    return blocks


def new_fusion() -> fusion.Fusion:
    """Make a learner of the weights that has seen nothing yet: the priors, whatever the context."""
    prior = np.zeros((len(fusion.CONTEXT), fusion.FEATURES_PER_SCORER * len(NAMES)))
    prior[0] = [weight for scorer in SCORERS for pair in scorer.priors.values() for weight in pair]
    return fusion.Fusion(prior)


def popularity_fusion() -> fusion.Fusion:
    """Make a learner that starts from popularity alone, for when nothing that was learned can be trusted."""
    learner = new_fusion()
    learner.omega[:] = 0
    learner.omega[0, fusion.FEATURES_PER_SCORER * NAMES.index("popular")] = 1
    return learner
