"""arrange: orders the scored candidates of a list; diversity and exploration may change the order of the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from afresh.models.arrays import Doubles, Floats, Indices
from afresh.models.fusion.weights import Weights, fuse
from afresh.models.lists import diversity
from afresh.models.lists.exploration import NEW_EXAMPLES, Draw, fill
from afresh.models.retrieval import codes
from afresh.models.retrieval.asking import Items


@dataclass(frozen=True)
class Scored:
    """The scored candidates of a user's list.

    Attributes
    ----------
    candidates
        Catalogue indices, int32, shape (C,): first the ranked ones in the order of the items' keys, then others.
    ranked
        Number of ranked candidates. The others get into a list only if they were drawn.
    features
        Features of the candidates, float32, shape (C, F).
    situation
        Context of the user; see ``models.fusion.features``.
    learned
        Weights of the fusion.
    excluded
        Catalogue indices that the list must not hold, whatever their scores.
    popular
        Catalogue indices of the list that popularity would have served, best first, shape (at most 10,).
    drawn
        New items drawn for the list, all of them scored; None if new items get no places.
    broken
        Whether a scorer gave something that is no score; it counted as 0.
    """

    candidates: Indices
    ranked: int
    features: Floats
    situation: Doubles
    learned: Weights
    excluded: Indices
    popular: Indices
    drawn: Draw | None = None
    broken: bool = False

    @cached_property
    def weights(self) -> Doubles:
        """Weights of the features, shape (F,)."""
        (weights,) = self.learned.in_contexts(self.situation[None])
        return np.asarray(weights)

    def places_of(self, indices: Indices) -> Indices:
        """Return the places of Catalogue indices among the candidates, int32, shape (n,); all must be candidates."""
        order = np.argsort(self.candidates)
        return order[np.searchsorted(self.candidates, indices, sorter=order)].astype(np.int32)

    def fused(self) -> Floats:
        """Return the final score of every candidate, float32, shape (C,)."""
        return fuse(self.weights.astype(np.float32), self.features)


def pool(items: Items, excluded: Indices) -> Indices:
    """Return the Catalogue indices of the new items that a list may hold, in the order of their keys."""
    new = items.available & (items.examples < NEW_EXAMPLES)
    new[excluded] = False
    indices = np.flatnonzero(new).astype(np.int32)
    return indices[np.argsort(items.keys[indices])]


def arrange(
    scored: Scored, best: Indices, items: Items, diverse: float, size: int
) -> tuple[Indices, Sequence[float | None]]:
    """Choose and order the items of a list.

    Parameters
    ----------
    scored
        The candidates.
    best
        Places of the best candidates, best first.
    items
        Arrays of all items of the Catalogue.
    diverse
        How strongly similar items are avoided; see ``models.lists.diversity``.
    size
        Number of items in a list.

    Returns
    -------
    Places of the list's items among the candidates, and the propensity of each; None if new items get no places.
    """
    if diverse:
        best = _diversified(scored, best, items, diverse, size)
    if scored.drawn is None:
        best = best[:size]
        return best, [None] * len(best)
    indices = scored.candidates[best]
    listed, propensities = fill(indices, items.examples[indices] < NEW_EXAMPLES, scored.drawn)
    return scored.places_of(listed), propensities


def _diversified(scored: Scored, best: Indices, items: Items, diverse: float, size: int) -> Indices:
    indices = scored.candidates[best]
    texts = codes.decoded(items.codes[indices], items.scales[indices])
    alike = diversity.similarity(texts, codes.decoded(items.vectors[indices], items.vector_scales[indices]))
    chosen = diversity.maximal_marginal_relevance(scored.fused()[best], alike, diverse, size)
    return np.concatenate([best[chosen], np.delete(best, chosen)])
