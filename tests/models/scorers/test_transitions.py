from dataclasses import replace

import numpy as np
import pytest

from afresh.models.learning.neighbours import NEXT, Kernel
from afresh.models.retrieval.codes import decoded
from afresh.models.scorers.cases import catalogue, user
from afresh.models.scorers.transitions import ASK_SOON, ASKED_NEXT
from tests.models.making import filled, scores


@pytest.mark.parametrize(("name", "kernel"), [("next", NEXT), ("soon", ASK_SOON)])
def test_scores_are_the_followers_of_the_history_weighted_by_a_kernel(name: str, kernel: Kernel) -> None:
    items, who = catalogue(), user()
    strengths = filled(items.followers, decoded(items.following, items.following_scales))
    expected = kernel.weights(who.ages) @ np.sqrt(strengths[who.history])
    np.testing.assert_allclose(scores(who, items)[name], expected, rtol=1e-5)


def test_followers_of_items_taken_long_ago_do_not_count() -> None:
    items, who = catalogue(), user(length=ASKED_NEXT + 5)
    lately = replace(who, history=who.history[:ASKED_NEXT], ages=who.ages[:ASKED_NEXT])
    np.testing.assert_array_equal(scores(who, items)["soon"], scores(lately, items)["soon"])
