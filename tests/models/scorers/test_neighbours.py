import numpy as np

from afresh.models.retrieval.asking import ASK, ASKED_MASS, TAKEN_MASS
from afresh.models.retrieval.codes import decoded
from afresh.models.scorers.cases import catalogue, user
from afresh.models.scorers.neighbours import POWER, UNSMOOTHED
from tests.models.making import filled, scores


def test_neighbours_are_the_relations_to_the_history_weighted_by_a_kernel() -> None:
    items, who = catalogue(), user()
    exact = filled(items.related, decoded(items.strengths, items.strength_scales))
    vectors = decoded(items.vectors, items.vector_scales)
    smooth = vectors @ vectors.T + UNSMOOTHED * exact
    np.fill_diagonal(smooth, 0)
    asked_mass, taken_mass = (items.mass + 1) ** ASKED_MASS, (items.mass + 1) ** TAKEN_MASS
    weights = ASK.weights(who.ages) * asked_mass[who.history]
    raw = scores(who, items)
    expected = weights @ smooth[who.history] ** POWER * taken_mass
    np.testing.assert_allclose(raw["neighbours"], expected, rtol=1e-4)
    expected = weights @ np.sqrt(exact[who.history]) * taken_mass
    np.testing.assert_allclose(raw["direct"], expected, rtol=1e-4, atol=1e-6)
