"""The scorers: the one place that names them.

A scorer says by one kind of evidence how much a user may want each candidate of a list; the fusion
(``models.fusion.fusion``) learns how to weigh what they say. Scorers that share their work are a family, in a module of
its own that says what it scores, by which formula, and what it needs. To add a family, write such a module, add its
``SCORER`` to ``SCORERS``, and see that it keeps to ``models.scorers.contract``.

Scorers score the candidates of a list alone (``models.retrieval.candidates``), so that it costs the same however
large the catalogue is.

The constants of the families, and of ``models.retrieval.asking``, were chosen on the first half of MovieLens 100K, each
list made before its event was learned; those of the session, the long history and the text were set beforehand and not
tuned, and those of what comes next on the first half of MovieLens 1M.
"""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Doubles, Floats, Indices
from afresh.models.fusion import fusion
from afresh.models.retrieval.asking import Asked
from afresh.models.scorers import kind, neighbours, popularity, text, transitions

SCORERS = (neighbours.SCORER, transitions.SCORER, popularity.SCORER, text.SCORER, kind.SCORER)
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
