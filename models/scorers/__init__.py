"""The scorers: the one place that names them.

A scorer says how much a user may want each candidate of a list, by one kind of evidence. The fusion
(``models.fusion.fusion``) learns how to weigh the scorers. Scorers that share their work are a family. Each family has
a module of its own, which says what it scores, by which formula, and what it needs. To add a family, write such a
module, add its ``SCORER`` to ``SCORERS``, and check that it keeps to ``models.scorers.contract``.

Scorers score only the candidates of a list (``models.retrieval.candidates``). So the cost of a list does not depend on
the size of the catalogue.

The constants of the families, and of ``models.retrieval.asking``, were chosen on the first half of MovieLens 100K,
with each list made before its event was learned. There are two exceptions. The constants of the session, the long
history, the text and the vectors that items bring were set beforehand and not tuned. Those of the transitions were
chosen on the first half of MovieLens 1M.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from afresh.models.arrays import Doubles, Floats, Indices, Places
from afresh.models.compiled import compiled
from afresh.models.fusion.features import CONTEXT, FEATURES_PER_SCORER
from afresh.models.fusion.fusion import Fusion
from afresh.models.retrieval.asking import Asked, History, Items
from afresh.models.scorers import brought, kind, neighbours, popularity, text, transitions
from afresh.models.scorers.base import Scorer

SCORERS = (
    neighbours.SCORER,
    transitions.SCORER,
    popularity.SCORER,
    text.SCORER,
    kind.SCORER,
    brought.SCORER,
)
"""All families, in the order of ``NAMES``. Their priors are near the weights learned on the first half of MovieLens
100K."""

NAMES = tuple(name for scorer in SCORERS for name in scorer.priors)
"""Names of all S scorers."""

BY_VOTES = np.array([scorer.by_votes for scorer in SCORERS for _ in scorer.priors])
"""Whether each of ``NAMES`` is a scorer by votes, shape (S,)."""


def rows_of(family: Scorer) -> tuple[int, int]:
    """Return the first row of a family among the scores, and the row after its last."""
    before = SCORERS[: SCORERS.index(family)]
    first = sum(len(scorer.priors) for scorer in before)
    return first, first + len(family.priors)


_NEIGHBOURS, _TRANSITIONS = rows_of(neighbours.SCORER), rows_of(transitions.SCORER)
_POPULARITY, _TEXT, _KIND = rows_of(popularity.SCORER), rows_of(text.SCORER), rows_of(kind.SCORER)
_BROUGHT = rows_of(brought.SCORER)


@compiled
def fill(history: History, items: Items, chosen: Indices, places: Indices, scores: Floats) -> None:
    """Fill in the scores of all families that have a compiled form, before trust; see ``models.scorers.base.Fill``."""
    neighbours.fill(history, items, chosen, places, scores[_NEIGHBOURS[0] : _NEIGHBOURS[1]])
    transitions.fill(history, items, chosen, places, scores[_TRANSITIONS[0] : _TRANSITIONS[1]])
    popularity.fill(history, items, chosen, places, scores[_POPULARITY[0] : _POPULARITY[1]])
    text.fill(history, items, chosen, places, scores[_TEXT[0] : _TEXT[1]])
    kind.fill(history, items, chosen, places, scores[_KIND[0] : _KIND[1]])
    brought.fill(history, items, chosen, places, scores[_BROUGHT[0] : _BROUGHT[1]])


def score(asked: Asked, chosen: Indices) -> Floats:
    """Compute the raw scores of candidates by all scorers in plain numpy, shape (len(NAMES), C)."""
    scores = np.concatenate([scorer.score(asked, chosen) for scorer in SCORERS])
    scores[BY_VOTES] *= asked.items.trust[chosen]
    return scores


def prior() -> Doubles:
    """Return the weights before anything is learned: the priors of the scorers, in every context."""
    weights = np.zeros((len(CONTEXT), FEATURES_PER_SCORER * len(NAMES)))
    weights[0] = [weight for scorer in SCORERS for pair in scorer.priors.values() for weight in pair]
    return weights


def new_fusion() -> Fusion:
    """Make a fusion that has seen nothing yet."""
    return Fusion(prior())


def shared_features(names: Sequence[str]) -> tuple[Places, Places]:
    """Return the columns of features that scorers of these names share with ours: in their order, and in ours.

    Examples
    --------
    >>> theirs, ours = shared_features(["another", NAMES[0]])
    >>> theirs.tolist(), ours.tolist()
    ([2, 3], [0, 1])
    """
    found = [(place, NAMES.index(name)) for place, name in enumerate(names) if name in NAMES]
    scorers = np.array(found, np.intp).reshape(-1, 2)
    columns = FEATURES_PER_SCORER * scorers[:, :, None] + np.arange(FEATURES_PER_SCORER)
    return columns[:, 0].ravel(), columns[:, 1].ravel()


def carried(fusion: Fusion, names: Sequence[str]) -> Fusion:
    """Return a fusion of ``NAMES`` that goes on with what a fusion of other scorers has learned.

    A scorer that it did not weigh starts at its prior.
    """
    return fusion.carried(*shared_features(names), prior())


def popularity_prior() -> Doubles:
    """Return weights that follow popularity alone, for the case that no learned weights can be trusted."""
    weights = np.zeros((len(CONTEXT), FEATURES_PER_SCORER * len(NAMES)))
    weights[0, FEATURES_PER_SCORER * NAMES.index("popular")] = 1
    return weights
