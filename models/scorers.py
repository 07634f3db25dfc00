"""The scorers: the one place that names them, with their constants. To add one, add it to ``SCORERS``.

A list is made in two steps: candidates are gathered from what the user's recent items lead to and from what is popular,
then every scorer scores the candidates alone, so that a list costs the same however large the catalogue is.

The constants were chosen on the first half of MovieLens 100K, each list made before its event was learned;
those of the session, the long history and the text were set beforehand and not tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from models import fusion, popularity
from models.neighbours import Kernel
from models.places import Numbering
from models.rank import NONE

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

HISTORY = 50
"""Items of a history that an example carries, that its row learns from, and that a list is made from."""

NEIGHBOURS = 96
"""Neighbours of a row. With 64 the hit rate of the neighbours alone is .003 lower, without a limit .001 higher."""

FADE = np.float32(0.997)
"""What is left of the neighbours of an item at each of its examples, so that new ones can come up."""

RELATED = 100
"""Of the strongest relations of an item those that lead to candidates, and that are not smoothed alone."""

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

ASKED_TEXT = 8
"""Items of a history whose texts are compared."""

UNSMOOTHED = np.float32(0.5)
"""mu of ``models.relations``."""

POWER = np.float32(0.6)
"""Of a relation: below 1 many weak ones together say more than a few strong ones."""

ASKED_MASS = np.float32(0.06)
TAKEN_MASS = np.float32(0.18)
"""Powers of the mass of the item asked and of the item scored that a relation is multiplied with."""

SHARPNESS = np.float32(10.0)
"""Cosines of texts lie close together: what is scored is exp(10 cos)."""

WARM_EXAMPLES = np.float32(5.0)
"""Examples after which an item counts as half known."""

STAGES = 10
"""Users are told apart by how many events they had: 0, 1, 2-3, 4-7, ..., 128-255, 256 and more."""

HOUR_MS = 3_600_000.0
DAY_MS = 24 * HOUR_MS
HALF_LIVES_MS = np.array([30 * DAY_MS, DAY_MS, 2 * HOUR_MS, 7 * DAY_MS] + [30 * DAY_MS] * STAGES)
"""Of the counts of an item: popular, trending, of this hour, of this week, and popular among users at each stage."""

HORIZONS = len(HALF_LIVES_MS) - STAGES

STAGE_FLOOR = 1e-3
"""Part of the popular count in every stage: what nobody took at a stage is still ordered."""

CANDIDATES = 300
"""Candidates that the relations of a history lead to."""

HEAD = 200
"""Items kept of the head of each count; the judge's list of the popular is chosen among them."""

LISTED_HEADS = (60, 40, 25, 25)
"""Candidates from the head of each count: popular, trending, of this hour, of this week."""

LISTED_STAGE = 25
"""Candidates from the head of the user's stage."""

LISTED_AKIN = 15
"""Candidates of like text for each of the ``ASKED_TEXT`` last items."""


@dataclass(frozen=True)
class User:
    """A user to make a list for.

    Attributes
    ----------
    history
        Catalogue rows of the user's items, newest first, shape (L,), L <= ``HISTORY``; -1 where unknown.
    ages
        Seconds from each of them to the newest, shape (L,).
    taken
        Items taken in all.
    now_ms
        When the list is made.
    """

    history: Indices
    ages: Floats
    taken: int
    now_ms: int


@dataclass(frozen=True)
class Items:
    """What is known of the items, as arrays of N rows.

    Attributes
    ----------
    available
        Whether a list may hold the item, shape (N,).
    keys
        Shape (N,); candidates are put into their order.
    domain
        Number of its domain, shape (N,).
    examples
        How often each was taken, shape (N,).
    counts, count_times
        Of ``models.popularity``, a column for each of ``HALF_LIVES_MS``: shape (N, H) and (N,).
    embeddings
        Of the text, unit length or 0, shape (N, E).
    related, strengths, vectors, mass
        Of ``models.relations``.
    akin, likeness
        Of ``models.text``, shape (N, ``AKIN``).
    heads
        The items with the largest counts, largest first, shape (H, at most ``HEAD``).
    trust
        Of ``models.trust``, shape (N,).
    """

    available: Mask
    keys: npt.NDArray[np.uint64]
    domain: Indices
    examples: npt.NDArray[np.uint32]
    counts: Floats
    count_times: npt.NDArray[np.int64]
    embeddings: Floats
    related: Indices
    strengths: Floats
    vectors: Floats
    mass: Floats
    akin: Indices
    likeness: Floats
    heads: Indices
    trust: Floats


class Asked:
    """A user's known items, and what is asked with them.

    Attributes
    ----------
    rows
        Catalogue rows, newest first, shape (l,).
    """

    def __init__(self, user: User, items: Items, numbering: Numbering) -> None:
        self.user = user
        self.items = items
        self.numbering = numbering
        known = user.history != NONE
        self.rows = user.history[known]
        self._known = known

    def weights(self, kernel: Kernel) -> Floats:
        """Weights of the items by a kernel, shape (l,)."""
        return np.asarray(kernel.weights(self.user.ages)[self._known])

    @cached_property
    def related(self) -> Indices:
        """Items related to those asked, shape (l, ``RELATED``)."""
        return np.asarray(self.items.related[self.rows])

    @cached_property
    def strengths(self) -> Floats:
        """How strongly, shape (l, ``RELATED``)."""
        return np.asarray(self.items.strengths[self.rows])

    @property
    def stage(self) -> int:
        """Column of the counts of the user's stage."""
        return HORIZONS + int(_stage(np.array([self.user.taken]))[0])


def candidates(asked: Asked, excluded: Indices) -> Indices:
    """Items that may be in the user's list, in the order of their keys: all of a small catalogue.

    Parameters
    ----------
    asked
        The user.
    excluded
        Items that the list may not hold, besides those that are not available.
    """
    items, numbering = asked.items, asked.numbering
    numbering.reach(len(items.keys))
    if len(items.keys) <= CANDIDATES:
        found = np.arange(len(items.keys), dtype=np.int32)
    else:
        led_to = _related_candidates(asked)
        heads = [items.heads[column, :count] for column, count in enumerate(LISTED_HEADS)]
        heads.append(items.heads[asked.stage, :LISTED_STAGE])
        akin = items.akin[asked.rows[:ASKED_TEXT], :LISTED_AKIN].ravel()
        found = np.concatenate([led_to, *heads, akin, asked.rows])
        found = numbering.distinct(found[found != NONE])
    allowed = items.available[found]
    out = numbering.places(excluded, found)
    allowed[out[out < len(found)]] = False
    found = found[allowed]
    return found[np.argsort(items.keys[found])]


def _related_candidates(asked: Asked) -> Indices:
    """The items that are related most strongly to the history, about ``CANDIDATES``."""
    items, related = asked.items, asked.related.ravel()
    known = related != NONE
    related = related[known]
    found = asked.numbering.distinct(related)
    weights = asked.weights(ASK) * (items.mass[asked.rows] + 1) ** ASKED_MASS
    reach = (np.sqrt(asked.strengths) * weights[:, None]).ravel()[known]
    if len(found) <= CANDIDATES:
        return found
    sums = np.bincount(asked.numbering.places(related, found), reach, len(found))
    sums = sums * (items.mass[found] + 1) ** TAKEN_MASS * items.available[found]
    least = np.partition(sums, -CANDIDATES)[-CANDIDATES]
    return np.asarray(found[sums >= least])


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


def counted(taken: npt.NDArray[np.int64]) -> Floats:
    """Return what an event adds to the counts of its item, by how many items its user had taken before.

    Examples
    --------
    >>> counted(np.array([0, 5])).astype(int).tolist()
    [[1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]]
    """
    stages = np.eye(STAGES, dtype=np.float32)[_stage(taken)]
    return np.concatenate([np.ones((len(taken), HORIZONS), np.float32), stages], axis=1)


def _stage(taken: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    bits = np.frexp(taken.astype(np.float64))[1]
    return np.minimum(bits, STAGES - 1).astype(np.intp)


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
    scores = np.concatenate([kernels @ (np.maximum(smooth, 0) ** POWER).T, kernels[:1] @ np.sqrt(exact).T])
    return np.asarray(scores * (items.mass[chosen] + 1) ** TAKEN_MASS, np.float32)


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


def score(asked: Asked, chosen: Indices, without: Collection[str] = ()) -> Floats:
    """Raw scores of candidates, shape (len(NAMES), C).

    Scorers named in ``without`` score nothing: what is lost without them is what they are worth.
    """
    scores = np.concatenate([scorer.score(asked, chosen) for scorer in SCORERS])
    scores[BY_VOTES] *= asked.items.trust[chosen]
    scores[[name in without for name in NAMES]] = 0
    return scores


def new_fusion() -> fusion.Fusion:
    """Make a learner of the weights that has seen nothing yet: the priors, whatever the context."""
    prior = np.zeros((len(fusion.CONTEXT), fusion.FEATURES_PER_SCORER * len(NAMES)))
    prior[0] = [weight for scorer in SCORERS for pair in scorer.priors.values() for weight in pair]
    return fusion.Fusion(prior)


def popularity_prior() -> fusion.Weights:
    """Weights that follow popularity alone, for when nothing that was learned can be trusted."""
    prior = np.zeros((len(fusion.CONTEXT), fusion.FEATURES_PER_SCORER * len(NAMES)))
    prior[0, fusion.FEATURES_PER_SCORER * NAMES.index("popular")] = 1
    return prior
