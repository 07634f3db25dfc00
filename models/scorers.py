"""The scorers: the one place that names them, with their constants. To add one, add it to ``SCORERS``.

Scorers score the candidates of a list alone (``models.retrieval.candidates``), so that it costs the same however
large the catalogue is.

The constants were chosen on the first half of MovieLens 100K, each list made before its event was learned;
those of the session, the long history and the text were set beforehand and not tuned, and those of what comes next
on the first half of MovieLens 1M.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from afresh.models.arrays import Doubles, Floats, Indices
from afresh.models.fusion import fusion
from afresh.models.learning import popularity
from afresh.models.learning.horizons import HALF_LIVES_MS, HORIZONS
from afresh.models.learning.neighbours import Kernel
from afresh.models.retrieval.asking import Asked, Items

HISTORY = 50
"""Items of a history that an example carries, that its row learns from, and that a list is made from."""

NEIGHBOURS = 96
"""Neighbours of a row. With 64 the hit rate of the neighbours alone is .003 lower, without a limit .001 higher."""

FADE = np.float32(0.997)
"""What is left of the neighbours of an item at each of its examples, so that new ones can come up."""

RELATED = 100
"""Of the strongest relations of an item those that lead to candidates, and that are not smoothed alone."""

FOLLOWERS = 100
"""Of what followed an item the strongest."""

AKIN = 30
"""Items of like text kept for an item."""

LEARN = Kernel(0.95, 300.0, 0.2)
"""Weight of an item of the history in the row of the item taken."""

ASK = Kernel(0.95, 100.0, 0.03)
"""Weight of an item of the history when a list is made."""

ASK_SESSION = Kernel(0.7, 30.0, 0.02)
"""The same, of the very last items only."""

ASK_LONG = Kernel(0.9, 100_000.0, 0.5)
"""The same, of what a user took before this visit as well."""

NEXT = Kernel(0.7, 100.0, 0.1)
"""Weight of an item of the history as what came just before the item taken, and as what the next one is to follow."""

ASK_SOON = Kernel(0.85, 100.0, 0.1)
"""The latter, of some more items."""

ASKED_NEXT = 20
"""Items of a history whose followers are looked at: those before them weigh next to nothing."""

ASKED_TEXT = 8
"""Items of a history whose texts are compared."""

UNSMOOTHED = np.float32(0.5)
"""mu of ``models.relations.relations``."""

POWER = np.float32(0.6)
"""Of a relation: below 1 many weak ones together say more than a few strong ones."""

ASKED_MASS = np.float32(0.06)
TAKEN_MASS = np.float32(0.18)
"""Powers of the mass of the item asked and of the item scored that a relation is multiplied with."""

SHARPNESS = np.float32(10.0)
"""Cosines of texts lie close together: what is scored is exp(10 cos)."""

WARM_EXAMPLES = np.float32(5.0)
"""Examples after which an item counts as half known."""

STAGE_FLOOR = 1e-3
"""Part of the popular count in every stage: what nobody took at a stage is still ordered."""


@dataclass(frozen=True)
class Scorer:
    """One scorer, or several that share their work.

    Attributes
    ----------
    priors
        By name of the scorer: the weights of its two features (logarithm, root) before anything is learned.
    score
        Raw scores of candidates, not below 0, shape (len(priors), C).
    by_votes
        Whether scores grow with the times that an item was taken, and are believed as far as those are.
    """

    priors: dict[str, tuple[float, float]]
    score: Callable[[Asked, Indices], Floats]
    by_votes: bool = False


def _neighbours(asked: Asked, chosen: Indices) -> Floats:
    items, rows = asked.items, asked.rows
    kernels = np.stack([asked.weights(kernel) for kernel in (ASK, ASK_SESSION, ASK_LONG)])
    kernels *= (items.mass[rows] + 1) ** ASKED_MASS
    exact = np.zeros((len(chosen) + 1, len(rows)), np.float32)  # a row more for what is no candidate
    places = asked.numbering.places(asked.related, chosen)
    exact[places, np.arange(len(rows))[:, None]] = asked.strengths
    exact = exact[:-1]
    smooth = items.vectors[chosen] @ items.vectors[rows].T + UNSMOOTHED * exact
    # an item is related to itself by nothing but the smoothing
    smooth[chosen[:, None] == rows] = 0
    # by exponential and logarithm, which take half as long as a power
    with np.errstate(divide="ignore"):
        powers = np.exp(POWER * np.log(np.maximum(smooth, 0)))
    scores = np.concatenate([kernels @ powers.T, kernels[:1] @ np.sqrt(exact).T])
    return np.asarray(scores * (items.mass[chosen] + 1) ** TAKEN_MASS, np.float32)


def _transitions(asked: Asked, chosen: Indices) -> Floats:
    """How strongly candidates followed the last items before; by roots, so that many weak traces count, too."""
    rows = asked.rows[:ASKED_NEXT]
    places = asked.numbering.places(asked.items.followers[rows], chosen).ravel()
    strengths = np.sqrt(asked.items.following[rows])
    scores = [
        np.bincount(places, (asked.weights(kernel)[:ASKED_NEXT, None] * strengths).ravel(), len(chosen) + 1)
        for kernel in (NEXT, ASK_SOON)
    ]
    return np.asarray(np.stack(scores)[:, :-1], np.float32)


def _popularity(asked: Asked, chosen: Indices) -> Floats:
    items = asked.items
    columns = [*range(HORIZONS), asked.stage]
    now, half_lives = asked.user.now_ms, HALF_LIVES_MS[columns]
    counts = popularity.decayed(items.counts[chosen][:, columns], items.count_times[chosen], now, half_lives)
    counts[:, -1] += STAGE_FLOOR * counts[:, 0]
    return np.concatenate([counts, items.examples[chosen, None]], axis=1).T.astype(np.float32)


def _text(asked: Asked, chosen: Indices) -> Floats:
    items, rows = asked.items, asked.rows[:ASKED_TEXT]
    scores = np.zeros((4, len(chosen)), np.float32)
    weights = asked.weights(ASK_LONG)[:ASKED_TEXT] * items.embeddings[rows].any(axis=1)
    if not weights.any():
        return scores
    cosines = items.embeddings[chosen] @ items.embeddings[rows].T
    mean = cosines @ (weights / weights.sum())
    cold = _coldness(items, chosen)
    scores[:3] = np.exp(SHARPNESS * np.stack([mean, cosines.max(axis=1), mean * cold]))
    places = asked.numbering.places(items.akin[rows], chosen)
    near = weights[:, None] * items.likeness[rows] ** SHARPNESS
    scores[3] = np.bincount(places.ravel(), near.ravel(), len(chosen) + 1)[:-1]
    return scores


def _coldness(items: Items, chosen: Indices) -> Floats:
    return np.asarray(WARM_EXAMPLES / (WARM_EXAMPLES + items.examples[chosen]), np.float32)


def _kind(asked: Asked, chosen: Indices) -> Floats:
    """How new a candidate is, how much of the history is of its domain, and how lately it was the user's own."""
    items, rows = asked.items, asked.rows
    weights = asked.weights(ASK_LONG)
    domain = weights @ (items.domain[rows][:, None] == items.domain[chosen])
    own = np.bincount(asked.numbering.places(rows, chosen), weights, len(chosen) + 1)[:-1]
    scores = np.stack([_coldness(items, chosen), domain, own])
    return scores.astype(np.float32)


SCORERS = (
    Scorer(
        {"neighbours": (1.1, 0.5), "session": (0.1, 0.4), "long": (0.0, 0.4), "direct": (0.1, 0.2)},
        _neighbours,
        by_votes=True,
    ),
    Scorer({"next": (0.1, 0.3), "soon": (0.1, 0.3)}, _transitions, by_votes=True),
    Scorer(
        {
            "popular": (-0.1, 0.2),
            "trending": (0.05, 0.2),
            "hour": (0.0, 0.1),
            "week": (0.0, 0.2),
            "stage": (0.1, 0.6),
            "ever": (0.0, 0.0),
        },
        _popularity,
        by_votes=True,
    ),
    Scorer({"text": (0.1, 0.2), "nearest": (0.0, 0.2), "cold_text": (0.0, 0.1), "akin": (0.0, 0.2)}, _text),
    Scorer({"new": (0.0, 0.0), "domain": (0.3, 0.0), "own": (0.2, 1.0)}, _kind),
)
"""In the order of ``NAMES``; the priors are near what was learned on the first half of MovieLens 100K."""

NAMES = tuple(name for scorer in SCORERS for name in scorer.priors)

BY_VOTES = np.array([scorer.by_votes for scorer in SCORERS for _ in scorer.priors])
"""Which of ``NAMES`` are scorers by votes, shape (S,)."""


def score(asked: Asked, chosen: Indices) -> Floats:
    """Raw scores of candidates, shape (len(NAMES), C)."""
    scores = np.concatenate([scorer.score(asked, chosen) for scorer in SCORERS])
    scores[BY_VOTES] *= asked.items.trust[chosen]
    return scores


def new_fusion() -> fusion.Fusion:
    """Make a learner of the weights that has seen nothing yet: the priors, whatever the context."""
    prior = np.zeros((len(fusion.CONTEXT), fusion.FEATURES_PER_SCORER * len(NAMES)))
    prior[0] = [weight for scorer in SCORERS for pair in scorer.priors.values() for weight in pair]
    return fusion.Fusion(prior)


def popularity_prior() -> Doubles:
    """Weights that follow popularity alone, for when nothing that was learned can be trusted."""
    prior = np.zeros((len(fusion.CONTEXT), fusion.FEATURES_PER_SCORER * len(NAMES)))
    prior[0, fusion.FEATURES_PER_SCORER * NAMES.index("popular")] = 1
    return prior
